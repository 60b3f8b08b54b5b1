package serve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/serve/chat"
	"github.com/modular-bridging/bridge/serve/engine"
	"github.com/modular-bridging/bridge/serve/fleet"
)

// complete answers POST /v1/chat/completions.
func (s *Server) complete(w http.ResponseWriter, r *http.Request) error {
	body, free, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	defer free()
	limits := s.config.Load().Limits
	request, err := chat.Parse(body, limits.Chat)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), limits.Request)
	defer cancel()
	lease, input, err := s.open(ctx, request.Model, request.Messages)
	if err != nil {
		return err
	}
	job := &engine.Request{Lease: lease, Tenant: tenantOf(r), Input: input, Rows: rows(request, limits.Chat)}
	c := newCompletion(request, job)
	if request.Stream {
		return s.streamAnswers(ctx, w, r, c)
	}
	result, err := s.engine.Generate(ctx, job)
	if err != nil {
		return c.explain(err)
	}
	s.writeJSON(w, http.StatusOK, c.whole(result))
	return nil
}

// open returns a lease of a bridge, and what its language model reads of a conversation. The caller
// releases the lease.
func (s *Server) open(ctx context.Context, model string, messages []chat.Message) (*fleet.Lease, engine.Input, error) {
	lease, err := s.acquire(ctx, model)
	if err != nil {
		return nil, engine.Input{}, err
	}
	input, err := s.input(ctx, lease, messages)
	if err != nil {
		lease.Release()
	}
	return lease, input, err
}

// acquire returns a lease of a bridge.
func (s *Server) acquire(ctx context.Context, name string) (*fleet.Lease, error) {
	lease, err := s.fleet.Acquire(ctx, name)
	if errors.Is(err, fleet.ErrUnknown) {
		return nil, s.unknownModel(name)
	}
	if err != nil && ctx.Err() == nil && adapters.KindOf(err) != adapters.Exhausted { // no client can have the bridge
		s.log.Error("cannot open a bridge", "model", name, "error", err)
		e := overloaded("the model cannot be loaded now").WithStatus(http.StatusServiceUnavailable, adapters.Unavailable)
		return nil, e.WithRemedy("tell the server's operator; the log has the reason")
	}
	return lease, err
}

// input returns what the language model reads of a conversation, with its pictures.
func (s *Server) input(ctx context.Context, lease *fleet.Lease, messages []chat.Message) (engine.Input, error) {
	prompt := chat.NewPrompt(messages, *lease.Info.Templates, s.templates(lease))
	in := engine.Input{Segments: prompt.Segments, Most: s.config.Load().Limits.InputTokens}
	read := map[string]*adapters.Tensor{} // clients send the pictures of earlier turns again
	for _, p := range prompt.Pictures {
		picture := read[p.URL]
		if picture == nil {
			var err error
			if picture, err = s.pictures.Read(ctx, p.URL, pictureReader(lease)); err != nil {
				return in, badPicture(p.Param, err)
			}
			read[p.URL] = picture
		}
		in.Pictures = append(in.Pictures, picture)
	}
	return in, nil
}

// pictureReader returns how a bridge's encoder needs its pictures.
func pictureReader(lease *fleet.Lease) data.Reader {
	return data.Reader{Spec: lease.Vision.Spec().Image, Orientation: lease.Orientation}
}

// templates returns the templates for earlier turns: the bridge's own, those of its kind of
// language model, or the default ones.
func (s *Server) templates(lease *fleet.Lease) chat.Templates {
	c := s.config.Load()
	for _, b := range c.Bridges {
		if b.Name == lease.Name && b.Templates != nil {
			return *b.Templates
		}
	}
	if t, ok := c.Templates[string(lease.Language.Spec().Architecture)]; ok {
		return t
	}
	return chat.DefaultTemplates()
}

// rows returns the options of each of a request's answers.
func rows(r *chat.Request, l chat.Limits) []adapters.GenerateOptions {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	o := r.Options(l, binary.LittleEndian.Uint64(random[:]))
	all := make([]adapters.GenerateOptions, r.Answers())
	for i := range all {
		all[i] = o
		if o.Sample {
			all[i].Copy = i
		}
	}
	return all
}

// completion is an answer that is being made.
type completion struct {
	request *chat.Request
	job     *engine.Request
	id      string
	created int64
}

func newCompletion(r *chat.Request, job *engine.Request) *completion {
	return &completion{request: r, job: job, id: "chatcmpl-" + rand.Text(), created: time.Now().Unix()}
}

// whole returns the answer to a request without streaming.
func (c *completion) whole(result *engine.Result) chat.Completion {
	out := chat.Completion{ID: c.id, Object: "chat.completion", Created: c.created, Model: c.request.Model, Usage: usage(result)}
	for i, a := range result.Answers {
		choice := chat.Choice{Index: i, Message: chat.Answer{Role: chat.Assistant, Content: a.Text}, FinishReason: c.finish(i, a)}
		if c.request.LogProbs {
			choice.LogProbs = chat.NewLogProbs(a.LogProbs)
		}
		out.Choices = append(out.Choices, choice)
	}
	return out
}

func (c *completion) finish(i int, a engine.Answer) string {
	return chat.FinishReason(a.Finish, a.Tokens, c.job.Rows[i].MaxNewTokens)
}

// usage counts the tokens of a result. The input counts once, as OpenAI counts it.
func usage(r *engine.Result) chat.Usage {
	u := chat.Usage{PromptTokens: r.InputTokens}
	for _, a := range r.Answers {
		u.CompletionTokens += a.Tokens
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// explain names the request's field in an error of an adapter about the options.
func (c *completion) explain(err error) error {
	var e *adapters.Error
	if !errors.As(err, &e) || e.Kind != adapters.Unsupported {
		return err
	}
	for field, param := range map[string]string{"options.stop": "stop", "options.log_probs": "logprobs"} {
		if e.Field == field {
			out := explain(err)
			out.Param, out.Code = chat.Null(param), "unsupported_parameter"
			return out
		}
	}
	return err
}
