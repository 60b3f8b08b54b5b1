package chat

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Parse reads and checks the body of POST /v1/chat/completions. An error is an [*Error], which
// names the wrong part.
func Parse(body []byte, l Limits) (*Request, error) {
	r := &Request{}
	if err := Decode(body, r); err != nil {
		return nil, err
	}
	if err := r.check(l); err != nil {
		return nil, err
	}
	return r, nil
}

// Decode reads a JSON body into a struct. It refuses unknown and repeated fields, and text that is
// not UTF-8. An error is an [*Error].
func Decode(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return Errorf("", "the body is empty, want a JSON object")
	}
	err := json.Unmarshal(body, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return semanticError(semantic, reflect.TypeOf(v))
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return Errorf(pointer(syntactic.JSONPointer), "the body is not valid JSON: %v at byte %d", syntactic.Err, syntactic.ByteOffset)
	}
	return Errorf("", "the body is not valid JSON")
}

// semanticError describes a value that does not fit its field, or an unknown field.
func semanticError(err *json.SemanticError, root reflect.Type) *Error {
	param := pointer(err.JSONPointer)
	if errors.Is(err.Err, json.ErrUnknownName) {
		e := Errorf(param, "unknown field %q", param).WithCode("unknown_parameter")
		if near := didyoumean.Name(err.JSONPointer.LastToken(), fieldNames(err.GoType)); near != "" {
			return e.WithRemedy("did you mean %q?", near)
		}
		return e.WithRemedy("leave it out; /openapi.json lists the fields")
	}
	got := map[jsontext.Kind]string{'n': "null", 'f': "false", 't': "true", '"': "a text", '0': "a number", '{': "an object", '[': "a list"}[err.JSONKind]
	if got == "" {
		got = "a value of another type"
	}
	if param == "" {
		return Errorf("", "the body is %s, want a JSON object", got)
	}
	e := Errorf(param, "%s is %s, want %s", param, got, wanted(err.GoType)).WithCode("invalid_type")
	if text := string(err.JSONValue); err.JSONKind == '0' && len(text) < 32 {
		e.Message = param + " is " + text + ", want " + wanted(err.GoType)
		if errors.Is(err.Err, strconv.ErrRange) {
			e.Message += " that fits into 64 bits"
		}
	}
	return e
}

// wanted returns what a Go type takes, in JSON's words.
func wanted(t reflect.Type) string {
	if t == nil {
		return "a value of another type"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// fieldNames returns the JSON names of a struct's fields.
func fieldNames(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for f := range slices.Values(reflect.VisibleFields(t)) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// pointer returns a JSON pointer as a path: messages[0].content.
func pointer(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		switch {
		case isIndex(token):
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return printable.Clip(b.String(), maxRepeated)
}

func isIndex(token string) bool {
	return token != "" && strings.Trim(token, "0123456789") == ""
}

// maxRepeated bounds in bytes what an error repeats of a request.
const maxRepeated = 200
