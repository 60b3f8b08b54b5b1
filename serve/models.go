package serve

import (
	"net/http"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/serve/chat"
	"github.com/modular-bridging/bridge/serve/fleet"
)

// model is an entry of GET /v1/models: OpenAI's fields, and what is known of the bridge once it is
// loaded.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`

	Loaded       bool     `json:"loaded"`
	Encoder      string   `json:"encoder,omitempty"`
	LLM          string   `json:"llm,omitempty"`
	Architecture string   `json:"architecture,omitempty"` // of the language model
	Parameters   int64    `json:"parameters,omitempty"`   // of both frozen models
	Context      int      `json:"context_tokens,omitempty"`
	Backend      string   `json:"backend,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"` // of the language model
	Queries      int      `json:"queries,omitempty"`      // soft prompts a picture takes
	Caption      string   `json:"caption_template,omitempty"`
	Question     string   `json:"question_template,omitempty"`
}

// modelList is the answer of GET /v1/models.
type modelList struct {
	Object string  `json:"object"` // "list"
	Data   []model `json:"data"`
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) error {
	list := modelList{Object: "list", Data: []model{}}
	for _, status := range s.fleet.Status() {
		list.Data = append(list.Data, s.describe(status))
	}
	s.writeJSON(w, http.StatusOK, list)
	return nil
}

func (s *Server) showModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	for _, status := range s.fleet.Status() {
		if status.Name == name {
			s.writeJSON(w, http.StatusOK, s.describe(status))
			return nil
		}
	}
	return s.unknownModel(name)
}

func (s *Server) describe(status fleet.Status) model {
	m := model{ID: status.Name, Object: "model", Created: s.started.Unix(), OwnedBy: "bridge", Loaded: status.Loaded}
	if status.Bridge == nil {
		return m
	}
	vision, language := status.Bridge.Vision.Spec(), status.Bridge.Language.Spec()
	m.Created = status.Bridge.Opened.Unix()
	m.Encoder, m.LLM, m.Architecture = vision.ID, language.ID, string(language.Architecture)
	m.Parameters, m.Context, m.Backend = vision.Parameters+language.Parameters, language.ContextTokens, language.Backend
	for _, c := range language.Capabilities {
		m.Capabilities = append(m.Capabilities, string(c))
	}
	m.Queries = status.Bridge.Config().Queries
	if t := status.Bridge.Info.Templates; t != nil {
		m.Caption, m.Question = t.Caption, t.Question
	}
	return m
}

// unknownModel returns the error for a name that no bridge has.
func (s *Server) unknownModel(name string) error {
	e := chat.Errorf("model", "there is no model %s", quoted(name)).WithStatus(http.StatusNotFound, adapters.NotFound).WithCode("model_not_found")
	if near := didyoumean.Name(name, s.fleet.Names()); near != "" {
		return e.WithRemedy("did you mean %q?", near)
	}
	return e.WithRemedy("GET /v1/models lists the models")
}
