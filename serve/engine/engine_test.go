package engine

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/serve/batch"
	"github.com/modular-bridging/bridge/serve/fleet"
	"github.com/modular-bridging/bridge/workspace"
)

// bridges is the fleet of all tests. Its bridge is opened once.
var bridges *fleet.Fleet

const name = "kit:stage2"

func TestMain(m *testing.M) {
	bridges = fleet.New(fleet.Options{Workspace: workspace.New(workspace.Options{})})
	bridges.Set([]fleet.Entry{{Name: name, Model: name, Open: workspace.OpenOptions{Backend: "go"}}})
	code := m.Run()
	bridges.Close()
	os.Exit(code)
}

// request returns a request for captions of picture i of the kit, of at least and at most so many
// tokens.
func request(t *testing.T, i, least, most int) *Request {
	t.Helper()
	lease, err := bridges.Acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	split, err := data.OpenKit("held-out", i+1, lease.Vision.Spec().Image)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := split.Image(i)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Lease: lease, Tenant: "t", Rows: []adapters.GenerateOptions{{MinNewTokens: least, MaxNewTokens: most}},
		Input: Input{Segments: lease.Info.Templates.CaptionExample(0, "").Segments, Pictures: []*adapters.Tensor{picture}}}
}

// observed returns an engine that reports its batches on a channel.
func observed() (*Engine, chan Batch) {
	batches := make(chan Batch, 16)
	return New(Options{Batch: batch.Options{Rows: 8, Limit: 64}, Observe: func(b Batch) { batches <- b }}), batches
}

// together answers requests in one batch, behind one that keeps the worker busy until all wait.
// ctxs are their contexts.
func together(t *testing.T, e *Engine, ctxs []context.Context, requests ...*Request) (results []*Result, errs []error) {
	t.Helper()
	wait := make(chan struct{})
	busy := request(t, 0, 2, 2)
	busy.Emit = func(int, adapters.Piece) { <-wait }
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := e.Generate(t.Context(), busy); err != nil {
			t.Error(err)
		}
	})
	loaded := func(want int) bool { waiting, running := e.Load(); return waiting == want && running == 1 }
	for !loaded(0) {
		time.Sleep(time.Millisecond)
	}
	results, errs = make([]*Result, len(requests)), make([]error, len(requests))
	for i, r := range requests {
		wg.Go(func() { results[i], errs[i] = e.Generate(ctxs[i], r) })
	}
	for !loaded(len(requests)) {
		time.Sleep(time.Millisecond)
	}
	close(wait)
	wg.Wait()
	return results, errs
}

// A client that leaves must free its row, and cost the others nothing.
func TestAClientThatLeavesFreesItsRow(t *testing.T) {
	e, batches := observed()
	alone, err := e.Generate(t.Context(), request(t, 5, 0, 20))
	if err != nil {
		t.Fatal(err)
	}
	<-batches
	leaves, leave := context.WithCancel(t.Context())
	defer leave()
	gone, stays := request(t, 4, 100, 100), request(t, 5, 0, 20)
	gone.Emit = func(int, adapters.Piece) { leave() }
	results, errs := together(t, e, []context.Context{leaves, t.Context()}, gone, stays)
	if !errors.Is(errs[0], context.Canceled) {
		t.Errorf("the client that left got %v", errs[0])
	}
	if errs[1] != nil || results[1].Answers[0].Text != alone.Answers[0].Text {
		t.Errorf("the other got %+v, %v, alone it gets %+v", results[1], errs[1], alone)
	}
	<-batches // of the request that kept the worker busy
	if b := <-batches; b.Jobs != 2 || b.Tokens >= 100 {
		t.Errorf("a batch of %d jobs has computed %d tokens, want 2 jobs and not the 100 of the client that left", b.Jobs, b.Tokens)
	}
}

func TestABatchEndsWhenAllClientsHaveLeft(t *testing.T) {
	e, batches := observed()
	ctx, leave := context.WithCancel(t.Context())
	r := request(t, 4, 100, 100)
	r.Emit = func(int, adapters.Piece) { leave() }
	if _, err := e.Generate(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if b := <-batches; b.Tokens >= 100 {
		t.Errorf("%d tokens were computed for nobody", b.Tokens)
	}
}

// A request that the model refuses must not fail the others of its batch, and they must not get
// their text twice.
func TestABadRequestFailsAlone(t *testing.T) {
	e, batches := observed()
	good, bad := request(t, 5, 0, 20), request(t, 6, 0, 20)
	var streamed strings.Builder
	good.Emit = func(_ int, p adapters.Piece) { streamed.WriteString(p.Text) }
	bad.Input.Pictures = []*adapters.Tensor{adapters.NewTensor(adapters.Uint8, 3, 3, 3)}
	results, errs := together(t, e, []context.Context{t.Context(), t.Context()}, good, bad)
	if errs[0] != nil || results[0].Answers[0].Text == "" || streamed.String() != results[0].Answers[0].Text {
		t.Fatalf("the good request: %+v, streamed %q, %v", results[0], streamed.String(), errs[0])
	}
	if adapters.KindOf(errs[1]) != adapters.Invalid {
		t.Errorf("the bad request: %v", errs[1])
	}
	<-batches // of the request that kept the worker busy
	both, first, second := <-batches, <-batches, <-batches
	if both.Jobs != 2 || adapters.KindOf(both.Err) != adapters.Invalid || both.Tokens != 0 {
		t.Errorf("the batch of both: %+v", both)
	}
	if first.Err != nil { // the requests may have come in any order
		first, second = second, first
	}
	if first.Jobs != 1 || first.Err != nil || first.Tokens != results[0].Answers[0].Tokens {
		t.Errorf("the batch of the good request: %+v, want its %d tokens", first, results[0].Answers[0].Tokens)
	}
	if second.Jobs != 1 || adapters.KindOf(second.Err) != adapters.Invalid || second.Tokens != 0 {
		t.Errorf("the batch of the bad request: %+v", second)
	}
}

func TestLongConversationsAreRefusedBeforeTheyWait(t *testing.T) {
	e, _ := observed()
	r := request(t, 5, 0, 20)
	r.Input.Segments = append(slices.Clone(r.Input.Segments), adapters.TextSegment(strings.Repeat(" red", 200)))
	_, err := e.Generate(t.Context(), r)
	var refused *adapters.Error
	if !errors.As(err, &refused) || refused.Kind != adapters.Invalid || refused.Field != ContextField || !strings.Contains(refused.Remedy, "shorten") {
		t.Errorf("got %v", err)
	}
}

// The model adds a token for the beginning of an input. A conversation that is too long because of it
// is refused as others are, and one that just fits is answered.
func TestTheTokensThatTheModelAddsCount(t *testing.T) {
	e, batches := observed()
	first, err := e.Generate(t.Context(), request(t, 5, 0, 1)) // of which the engine learns the number
	if err != nil {
		t.Fatal(err)
	}
	<-batches
	last := request(t, 5, 0, 1)
	fits := last.Lease.Language.Spec().ContextTokens - first.InputTokens + 1
	last.Rows[0] = adapters.GenerateOptions{MinNewTokens: fits, MaxNewTokens: fits}
	if r, err := e.Generate(t.Context(), last); err != nil || r.Answers[0].Tokens != fits {
		t.Errorf("an answer of %d tokens after %d: %+v, %v", fits, first.InputTokens, r, err)
	}
	<-batches
	_, err = e.Generate(t.Context(), request(t, 5, 0, fits+1))
	var refused *adapters.Error
	if !errors.As(err, &refused) || refused.Field != ContextField || len(batches) > 0 {
		t.Errorf("an answer of %d tokens after %d, which took %d batches: %v", fits+1, first.InputTokens, len(batches), err)
	}
}

// An encoder-decoder may have no limit of its own.
func TestTheServerLimitsConversations(t *testing.T) {
	e, _ := observed()
	r := request(t, 5, 0, 20)
	r.Input.Most = 13 // 10 soft prompts and "a photo of"
	if _, err := e.Generate(t.Context(), r); err != nil {
		t.Errorf("13 tokens of at most 13: %v", err)
	}
	r = request(t, 5, 0, 20)
	r.Input.Most = 12
	if _, err := e.Generate(t.Context(), r); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("13 tokens of at most 12: %v", err)
	}
}

// Without row options a model counts equal rows of a whole request, so sampled answers must not
// share one.
func TestOptionsDecideWhatIsComputedTogether(t *testing.T) {
	old := &fleet.Lease{Bridge: &fleet.Bridge{Model: oldModel(t)}}
	group := func(o adapters.GenerateOptions) any {
		r := &Request{Lease: old, Rows: []adapters.GenerateOptions{o}}
		return r.group(&generation{request: r})
	}
	one := 1.0
	same := 1.0
	if group(adapters.GenerateOptions{MaxNewTokens: 5, LengthPenalty: &one}) != group(adapters.GenerateOptions{MaxNewTokens: 5, LengthPenalty: &same}) {
		t.Error("equal options are not computed together")
	}
	if group(adapters.GenerateOptions{MaxNewTokens: 5}) == group(adapters.GenerateOptions{MaxNewTokens: 6}) {
		t.Error("different options are computed together")
	}
	sampled := adapters.GenerateOptions{Sample: true, Seed: 1}
	if group(sampled) == group(sampled) {
		t.Error("sampled answers are computed together")
	}
}
