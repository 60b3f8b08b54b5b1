package serve

import (
	_ "embed"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/modular-bridging/bridge/serve/chat"
)

// openapiFile describes the interface to programs. A schema with x-limit gets the limit of the
// configuration. TestOpenAPI compares the file with the routes and the Go types.
//
//go:embed openapi.json
var openapiFile []byte

// openapi answers GET /openapi.json.
func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	doc, err := openapiDocument(s.config.Load().Limits.Chat)
	if err != nil {
		return err
	}
	s.writeJSON(w, http.StatusOK, doc)
	return nil
}

// openapiDocument returns the description of the interface with a server's limits.
func openapiDocument(l chat.Limits) (map[string]any, error) {
	var doc map[string]any
	if err := json.Unmarshal(openapiFile, &doc); err != nil {
		return nil, err
	}
	setLimits(doc, map[string]int{"tokens": l.Tokens, "answers": l.Answers, "beams": l.Beams, "messages": l.Messages, "stops": l.Stops})
	return doc, nil
}

// setLimits writes the limits into all schemas below a value that name one.
func setLimits(v any, limits map[string]int) {
	switch v := v.(type) {
	case []any:
		for _, inner := range v {
			setLimits(inner, limits)
		}
	case map[string]any:
		if name, ok := v["x-limit"].(string); ok {
			for _, key := range []string{"maximum", "maxItems"} {
				if _, ok := v[key]; ok {
					v[key] = limits[name]
				}
			}
		}
		for _, inner := range v {
			setLimits(inner, limits)
		}
	}
}
