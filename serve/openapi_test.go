package serve

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/serve/chat"
)

// at returns a value inside a document.
func at(t *testing.T, doc any, path ...string) any {
	t.Helper()
	for _, key := range path {
		table, _ := doc.(map[string]any)
		if doc = table[key]; doc == nil {
			t.Fatalf("openapi.json has no %s", strings.Join(path, " → "))
		}
	}
	return doc
}

// The description must list the paths, fields and limits that the code has.
func TestOpenAPI(t *testing.T) {
	s, _ := sharedServer(t)
	l := chat.DefaultLimits()
	l.Tokens = 77
	doc, err := openapiDocument(l)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range s.routes() {
		want = append(want, strings.ToLower(r.method)+" "+strings.ReplaceAll(r.path, "...}", "}"))
	}
	var got []string
	for path, methods := range at(t, doc, "paths").(map[string]any) {
		for method := range methods.(map[string]any) {
			if method != "parameters" {
				got = append(got, method+" "+path)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("openapi.json has the paths %v, the server %v", got, want)
	}
	for name, v := range map[string]any{
		"ChatRequest": chat.Request{}, "Message": chat.Message{}, "ImageURL": chat.ImageURL{}, "StreamOptions": chat.StreamOptions{},
		"Completion": chat.Completion{}, "Choice": chat.Choice{}, "Answer": chat.Answer{}, "Usage": chat.Usage{}, "Chunk": chat.Chunk{},
		"ChunkChoice": chat.ChunkChoice{}, "Delta": chat.Delta{}, "LogProbs": chat.LogProbs{}, "TokenLogProb": chat.TokenLogProb{}, "TopLogProb": chat.TopLogProb{},
		"GroundingRequest": chat.GroundingRequest{}, "Grounding": chat.Grounding{}, "PerToken": chat.PerToken{}, "Error": chat.Error{}, "ErrorBody": errorBody{},
		"Model": model{}, "ModelList": modelList{}, "Readiness": readiness{},
	} {
		schema := at(t, doc, "components", "schemas", name)
		listed := slices.Sorted(maps.Keys(at(t, schema, "properties").(map[string]any)))
		if fields := jsonFields(reflect.TypeOf(v)); !slices.Equal(listed, fields) {
			t.Errorf("schema %s has %v, the type %v", name, listed, fields)
		}
		if at(t, schema, "additionalProperties") != false {
			t.Errorf("schema %s allows unknown fields", name)
		}
	}
	if got := at(t, doc, "components", "schemas", "ChatRequest", "properties", "max_tokens", "maximum"); got != 77 {
		t.Errorf("the maximum of max_tokens is %v, the server's 77", got)
	}
}

// jsonFields returns the JSON names of a type's fields, sorted.
func jsonFields(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
