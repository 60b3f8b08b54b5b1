package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/batch"
	"github.com/modular-bridging/bridge/serve/fleet"
)

// Options are the settings of an engine.
type Options struct {
	Batch batch.Options
	// Observe, if not nil, is called after each batch. A batch that fails and is computed again in
	// halves is one batch, and each half is another one.
	Observe func(Batch)
}

// Batch describes requests that were computed together.
type Batch struct {
	Model  string
	Jobs   int
	Rows   int
	Tokens int           // generated
	Took   time.Duration // to compute it
	Waited time.Duration // of the job that waited longest
	Err    error
}

// Engine answers requests. Its methods are safe for concurrent use.
type Engine struct {
	options Options

	mu     sync.Mutex
	models map[adapters.LanguageModel]*model
}

// model holds the queue of a language model, and what its answers have told.
type model struct {
	queue *batch.Queue
	least atomic.Int64 // fewest tokens that the model has added to an input; -1 before its first answer
}

// added returns how many tokens the model adds to an input, such as one for its beginning. Only its
// answers tell, so it is 0 before the first one. If the number varies, it is the smallest one, so that
// no input is refused that the model can read.
func (m *model) added() int { return int(max(0, m.least.Load())) }

// learn records that an input of so many tokens took so many positions. The worker of the model's queue
// calls it.
func (m *model) learn(tokens, positions int) {
	n, least := int64(positions-tokens), m.least.Load()
	if tokens > 0 && (least < 0 || n < least) {
		m.least.Store(n)
	}
}

// New returns an engine.
func New(o Options) *Engine {
	return &Engine{options: o, models: map[adapters.LanguageModel]*model{}}
}

// Forget removes what the engine has for a language model that is closed.
func (e *Engine) Forget(l adapters.LanguageModel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.models, l)
}

// model returns what the engine has for a language model.
func (e *Engine) model(l adapters.LanguageModel) *model {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.models[l]
	if m == nil {
		m = &model{queue: batch.New(e.options.Batch)}
		m.least.Store(-1)
		e.models[l] = m
	}
	return m
}

// Load returns the rows that wait and those that are being computed, in all queues.
func (e *Engine) Load() (waiting, running int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.models {
		w, r := m.queue.Load()
		waiting, running = waiting+w, running+r
	}
	return waiting, running
}

// Input is the input of a language model.
type Input struct {
	Segments []adapters.Segment
	// Pictures are uint8[H, W, 3], as the bridge's encoder needs them. Soft prompt i of the
	// segments is of picture i.
	Pictures []*adapters.Tensor
	// Most is how many tokens the input may have, rows of soft prompts included; 0 is no limit
	// beside the model's.
	Most int
}

// Request is a conversation to answer.
type Request struct {
	// Lease keeps the bridge open. The engine releases it, also after an error.
	Lease  *fleet.Lease
	Tenant string // whose share of the time the request takes
	Input  Input
	Rows   []adapters.GenerateOptions // one for each answer
	// Emit, if not nil, is called with the pieces of the answers as they are generated. It
	// must not block.
	Emit func(row int, p adapters.Piece)
}

// Answer is one of a request's answers.
type Answer struct {
	Text     string
	Tokens   int // generated
	Finish   adapters.FinishReason
	LogProbs []adapters.TokenLogProb
}

// Result holds a request's answers.
type Result struct {
	Answers     []Answer
	InputTokens int // of the input, rows of soft prompts included
}

// Generate answers a request. It waits for its turn in the queue of the language model. When ctx
// ends, it returns at once, and the rows of the request are given up.
func (e *Engine) Generate(ctx context.Context, r *Request) (*Result, error) {
	tokens, err := r.check(ctx, e.model(r.Lease.Language).added())
	if err != nil {
		r.Lease.Release()
		return nil, err
	}
	g := &generation{request: r, emitted: make([]string, len(r.Rows)), inputTokens: tokens, done: make(chan error, 1)}
	err = e.wait(ctx, r.Lease, g.done, &batch.Job{
		Context: ctx, Tenant: r.Tenant, Rows: len(r.Rows), Group: r.group(g), Data: g, Run: e.generate,
	})
	if err != nil {
		return nil, err
	}
	return g.result, nil
}

// wait submits a job and waits until it is done or ctx ends. The lease is released when nothing
// uses the bridge any more.
func (e *Engine) wait(ctx context.Context, l *fleet.Lease, done chan error, j *batch.Job) error {
	var once sync.Once
	j.Done = func(err error) {
		once.Do(func() {
			l.Release()
			done <- err
		})
	}
	if err := e.model(l.Language).queue.Submit(j); err != nil {
		l.Release()
		return err
	}
	select {
	case err := <-done:
		if err != nil && ctx.Err() != nil { // the model says only that the call was canceled
			return ctx.Err()
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// survive ends the jobs of a batch whose computation panics, as an adapter in this process may. It is
// deferred.
func survive(jobs []*batch.Job) {
	if p := recover(); p != nil {
		err := adapters.Errorf(adapters.Internal, "a batch panicked: %v\n%s", p, debug.Stack())
		for _, j := range jobs {
			j.Done(err)
		}
	}
}

// group returns what the jobs of a batch have in common: the bridge and, if the language model
// takes one set of options a request, the options. Answers that are sampled by such a model are
// computed alone, because it counts equal rows of the whole request.
func (r *Request) group(g *generation) any {
	type together struct {
		bridge  *fleet.Bridge
		options string
		alone   *generation
	}
	switch {
	case r.Lease.Language.Spec().Has(adapters.CapRowOptions):
		return together{bridge: r.Lease.Bridge}
	case r.Rows[0].Sample:
		return together{alone: g}
	}
	o := r.Rows[0]
	o.Copy = 0
	penalty := "none"
	if o.LengthPenalty != nil {
		penalty, o.LengthPenalty = fmt.Sprint(*o.LengthPenalty), nil
	}
	return together{bridge: r.Lease.Bridge, options: fmt.Sprintf("%+v %s", o, penalty)}
}
