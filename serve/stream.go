package serve

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/chat"
	"github.com/modular-bridging/bridge/serve/engine"
)

// streamAnswers answers with server-sent events. Before the first piece of an answer an error has
// its own status; after that it is an event.
func (s *Server) streamAnswers(ctx context.Context, w http.ResponseWriter, r *http.Request, c *completion) error {
	pieces := newPieces()
	c.job.Emit = pieces.add
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		result *engine.Result
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		result, err := s.engine.Generate(ctx, c.job)
		ended <- outcome{result, err}
	}()
	out := &eventWriter{server: s, w: w, request: r, completion: c, sent: make([]string, len(c.job.Rows))}
	for {
		select {
		case <-pieces.signal:
			if err := out.pieces(pieces.take()); err != nil {
				return nil // the client does not read; ending ctx gives its rows up
			}
		case end := <-ended:
			if end.err != nil {
				return out.fail(c.explain(end.err))
			}
			if err := out.pieces(pieces.take()); err == nil {
				_ = out.finish(end.result)
			}
			return nil
		}
	}
}

// pieces are parts of answers that the client has not got yet. The worker of the model adds them
// and never waits for the client.
type pieces struct {
	signal chan struct{} // of size 1

	mu      sync.Mutex
	waiting []adapters.Piece // of which neighbours of one row are joined
}

func newPieces() *pieces { return &pieces{signal: make(chan struct{}, 1)} }

// add appends a piece of a row.
func (p *pieces) add(row int, piece adapters.Piece) {
	p.mu.Lock()
	piece.Example = row
	p.waiting = append(p.waiting, piece)
	p.mu.Unlock()
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// take removes all pieces.
func (p *pieces) take() []adapters.Piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.waiting
	p.waiting = nil
	return all
}

// eventWriter writes chunks as server-sent events.
type eventWriter struct {
	server     *Server
	w          http.ResponseWriter
	request    *http.Request
	completion *completion
	begun      bool
	sent       []string // text of each row so far
}

// begin sends the header and, for each answer, a chunk with its role.
func (e *eventWriter) begin() error {
	if e.begun {
		return nil
	}
	e.begun = true
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	e.w.WriteHeader(http.StatusOK)
	for i := range e.sent {
		empty := ""
		if err := e.chunk(chat.ChunkChoice{Index: i, Delta: chat.Delta{Role: chat.Assistant, Content: &empty}}); err != nil {
			return err
		}
	}
	return nil
}

// pieces sends pieces of answers.
func (e *eventWriter) pieces(all []adapters.Piece) error {
	if len(all) == 0 {
		return nil
	}
	if err := e.begin(); err != nil {
		return err
	}
	for _, p := range all {
		e.sent[p.Example] += p.Text
		choice := chat.ChunkChoice{Index: p.Example, Delta: chat.Delta{Content: &p.Text}}
		if e.completion.request.LogProbs && len(p.LogProbs) > 0 {
			choice.LogProbs = chat.NewLogProbs(p.LogProbs)
		}
		if err := e.chunk(choice); err != nil {
			return err
		}
	}
	return nil
}

// finish sends what is left of the answers, their ends, and the usage if the client asked for it.
func (e *eventWriter) finish(result *engine.Result) error {
	if err := e.begin(); err != nil {
		return err
	}
	for i, a := range result.Answers {
		if rest, ok := strings.CutPrefix(a.Text, e.sent[i]); ok && rest != "" {
			if err := e.chunk(chat.ChunkChoice{Index: i, Delta: chat.Delta{Content: &rest}}); err != nil {
				return err
			}
		}
		reason := e.completion.finish(i, a)
		if err := e.chunk(chat.ChunkChoice{Index: i, FinishReason: &reason}); err != nil {
			return err
		}
	}
	if e.wantsUsage() {
		u := usage(result)
		if err := e.event(e.envelope([]chat.ChunkChoice{}, &u)); err != nil {
			return err
		}
	}
	return e.write([]byte("data: [DONE]\n\n"))
}

// fail reports an error: as the answer if nothing was sent yet, and as an event otherwise.
func (e *eventWriter) fail(err error) error {
	if !e.begun {
		return err
	}
	out := explain(err)
	e.server.logFailure(e.request, out, err)
	_ = e.event(errorBody{out})
	return nil
}

func (e *eventWriter) wantsUsage() bool {
	o := e.completion.request.StreamOptions
	return o != nil && o.IncludeUsage
}

func (e *eventWriter) chunk(choice chat.ChunkChoice) error {
	return e.event(e.envelope([]chat.ChunkChoice{choice}, nil))
}

func (e *eventWriter) envelope(choices []chat.ChunkChoice, u *chat.Usage) chat.Chunk {
	c := chat.Chunk{ID: e.completion.id, Object: "chat.completion.chunk", Created: e.completion.created, Model: e.completion.request.Model, Choices: choices}
	if e.wantsUsage() {
		c.Usage = u // null in all chunks but the last
	}
	return c
}

// event writes an object as an event.
func (e *eventWriter) event(v any) error {
	var b bytes.Buffer
	b.WriteString("data: ")
	if err := json.MarshalWrite(&b, v); err != nil {
		return err
	}
	b.WriteString("\n\n")
	return e.write(b.Bytes())
}

// write sends bytes at once. A client that does not read them in time is cut off.
func (e *eventWriter) write(b []byte) error {
	control := http.NewResponseController(e.w)
	_ = control.SetWriteDeadline(time.Now().Add(e.server.config.Load().Limits.Write))
	if _, err := e.w.Write(b); err != nil {
		return err
	}
	return control.Flush()
}
