package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// Generate calls the plugin. Even if the request is repeated, emit gets every piece once.
func (c *languageClient) Generate(ctx context.Context, req *adapters.GenerateRequest,
	emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	const op = "generate"
	if err := req.Check(c.spec); err != nil {
		return nil, withOp(op, err)
	}
	var resp *adapters.GenerateResponse
	emitted := make([]emittedPart, len(req.Examples))
	cancel := &canceler{channel: req.Cancel, examples: len(req.Examples)}
	err := c.process.call(ctx, "Generate", op, func(ctx context.Context, i *instance, processError func() *ProcessError) error {
		x := exchange{to: i, method: i.rpc.Generate, processError: processError}
		x.call = func(out *wire.Outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_Generate{Generate: &pb.GenerateRequest{
				Prompts: out.Announce(req.Prompts), Examples: wire.EncodeExamples(req.Examples), Options: wire.EncodeOptions(req.Options),
				Rows: wire.EncodeRows(req.Rows), Cancelable: req.Cancel != nil, Canceled: cancel.before(),
			}}}
		}
		if req.Cancel != nil {
			x.further = cancel.forward
		}
		x.piece = skipEmitted(emitted, emit)
		x.reply = func(_ *wire.Inbound, r *pb.Reply) error {
			w := r.GetGenerate()
			if w == nil {
				return errWrongPart
			}
			resp = wire.DecodeGenerateResponse(w)
			return nil
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		return responseError(op, resp.Check(req), processError)
	})
	var own *emitError
	if errors.As(err, &own) {
		return nil, own.error
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// canceler passes the examples that the caller cancels to the plugin, in every attempt.
type canceler struct {
	channel  <-chan int
	examples int

	mu       sync.Mutex
	canceled []uint32
}

// before returns the examples that have been canceled before an attempt.
func (c *canceler) before() []uint32 {
	for c.channel != nil {
		select {
		case i, ok := <-c.channel:
			if !ok {
				c.channel = nil
			}
			c.add(i, ok)
		default:
			return c.soFar()
		}
	}
	return c.soFar()
}

func (c *canceler) soFar() []uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.canceled)
}

// add records an example, and reports whether it is one.
func (c *canceler) add(i int, ok bool) bool {
	if !ok || i < 0 || i >= c.examples {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled = append(c.canceled, uint32(i))
	return true
}

// forward sends what is canceled during an attempt, until done is closed.
func (c *canceler) forward(stream grpc.BidiStreamingClient[pb.Call, pb.Reply], done <-chan struct{}) {
	channel := c.channel
	for {
		select {
		case <-done:
			return
		case i, ok := <-channel:
			if !ok {
				channel = nil // closed: nothing follows
			}
			if !c.add(i, ok) {
				continue
			}
			cancel := &pb.Call{Part: &pb.Call_Cancel{Cancel: &pb.Cancel{Examples: []uint32{uint32(i)}}}}
			if stream.Send(cancel) != nil {
				return // the call is over: the receiving end says why
			}
		}
	}
}

// emittedPart is the part of an answer that emit has got so far.
type emittedPart struct {
	text   string
	tokens int // with a log-probability
}

// skipEmitted returns a function that passes pieces to emit, except those that an earlier
// attempt has passed. emitted has the parts that emit has got so far, by example, in all attempts.
func skipEmitted(emitted []emittedPart, emit func(adapters.Piece) error) func(*pb.Piece) error {
	current := make([]emittedPart, len(emitted))
	return func(w *pb.Piece) error {
		i := int(w.Example)
		if i >= len(emitted) {
			return wire.ProtocolErrorf("got a piece of example %d, the request has %d", i, len(emitted))
		}
		if emit == nil {
			return nil
		}
		now, before := &current[i], &emitted[i]
		now.text += w.Text
		now.tokens += len(w.LogProbs)
		if len(now.text) <= len(before.text) && strings.HasPrefix(before.text, now.text) && now.tokens <= before.tokens {
			return nil
		}
		if !strings.HasPrefix(now.text, before.text) && !strings.HasPrefix(before.text, now.text) {
			return wire.ProtocolErrorf("repeated, example %d begins with %q, it was %q", i, now.text, before.text)
		}
		piece := adapters.Piece{Example: i}
		if len(now.text) > len(before.text) {
			piece.Text = now.text[len(before.text):]
			before.text = now.text
		}
		if n := now.tokens - before.tokens; n > 0 {
			piece.LogProbs = wire.DecodeLogProbs(w.LogProbs)[max(0, len(w.LogProbs)-n):]
			before.tokens = now.tokens
		}
		if err := emit(piece); err != nil {
			return &emitError{err}
		}
		return nil
	}
}

// emitError marks an error of the caller's emit function, as opposed to one of the call.
type emitError struct{ error }

// Unwrap returns the caller's error.
func (e *emitError) Unwrap() error { return e.error }
