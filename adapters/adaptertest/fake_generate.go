package adaptertest

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// Generate chooses the likeliest printable byte, or the end, at each step, or
// draws one. It refuses options that it does not have.
func (m *FakeLanguage) Generate(ctx context.Context, req *adapters.GenerateRequest,
	emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if err := m.check(req.Check(m.spec), req.Examples, nil); err != nil {
		return nil, err
	}
	for i := range req.Examples {
		if err := refuseOptions(req.RowOptions(i)); err != nil {
			return nil, err
		}
	}
	prompts, err := promptRows(req.Prompts)
	if err != nil {
		return nil, err
	}
	canceled := map[int]bool{}
	resp := &adapters.GenerateResponse{}
	for i, e := range req.Examples {
		seq := m.sequence(e, "", req.Prompts)
		a := &fakeAnswer{m: m, example: i, o: req.RowOptions(i), prompts: prompts, c: make([]float64, fakeWidth), emit: emit}
		a.random = rand.New(rand.NewPCG(a.o.Seed, 2+uint64(copyOf(req, i))))
		for _, s := range seq[:len(seq)-1] { // without the end token
			a.feed(s)
		}
		if err := a.run(ctx, func() bool { return receive(req.Cancel, canceled, i) }); err != nil {
			return nil, err
		}
		resp.Texts, resp.Tokens = append(resp.Texts, strings.TrimSpace(string(a.text))), append(resp.Tokens, int32(a.tokens))
		resp.InputTokens, resp.Finish = append(resp.InputTokens, int32(len(seq)-1)), append(resp.Finish, a.finish)
		if a.o.LogProbs && resp.LogProbs == nil {
			resp.LogProbs = make([][]adapters.TokenLogProb, len(req.Examples))
		}
		if a.o.LogProbs {
			resp.LogProbs[i] = a.logProbs
		}
	}
	return resp, nil
}

// refuseOptions returns an error for an option that the model does not have.
func refuseOptions(o adapters.GenerateOptions) error {
	for name, asked := range map[string]bool{
		"beams": o.NumBeams > 1, "repetition penalty": o.RepetitionPenalty != 0 && o.RepetitionPenalty != 1,
		"temperature": o.Sample && o.Temperature != 0 && o.Temperature != 1, "top-k": o.Sample && o.TopK != 0,
		"top-p": o.Sample && o.TopP != 0 && o.TopP != 1,
	} {
		if asked {
			return adapters.Errorf(adapters.Unsupported, "the fake has no %s", name)
		}
	}
	return nil
}

// copyOf returns which of several equal examples example i is.
func copyOf(req *adapters.GenerateRequest, i int) (n int) {
	if req.Rows != nil {
		return req.Rows[i].Copy
	}
	for _, e := range req.Examples[:i] {
		if reflect.DeepEqual(e.Segments, req.Examples[i].Segments) {
			n++
		}
	}
	return n
}

// receive notes the examples that the request has given up, and reports whether i is one.
func receive(cancel <-chan int, canceled map[int]bool, i int) bool {
	for cancel != nil {
		select {
		case n, ok := <-cancel:
			if !ok {
				return canceled[i]
			}
			canceled[n] = true
			continue
		default:
		}
		break
	}
	return canceled[i]
}

// fakeAnswer is an answer that is being generated.
type fakeAnswer struct {
	m       *FakeLanguage
	example int
	o       adapters.GenerateOptions
	prompts []float64
	c       []float64 // the sum that the model keeps
	random  *rand.Rand
	emit    func(adapters.Piece) error

	text     []byte
	tokens   int
	finish   adapters.FinishReason
	logProbs []adapters.TokenLogProb
	emitted  int // bytes of text
}

// feed reads one position.
func (a *fakeAnswer) feed(s step) {
	for d, x := range a.m.input(s, a.prompts) {
		a.c[d] = fakeLeak*a.c[d] + x
	}
}

// run extends the answer until it is complete.
func (a *fakeAnswer) run(ctx context.Context, canceled func() bool) error {
	for a.finish == adapters.FinishUnknown {
		if err := ctx.Err(); err != nil {
			return adapters.Errorf(adapters.Canceled, "%w", err).WithOp("generate")
		}
		if canceled() {
			a.finish = adapters.FinishCanceled
		} else {
			a.extend()
		}
		if err := a.stream(); err != nil {
			return err
		}
	}
	return nil
}

// extend chooses the next token.
func (a *fakeAnswer) extend() {
	p := a.m.softmax(tanh(a.c))
	a.tokens++
	next := choose(p, a.tokens <= a.o.MinNewTokens, a.o.Sample, a.random)
	if next == fakeEnd {
		a.finish = adapters.FinishEnd
		return
	}
	a.text = append(a.text, byte(next))
	if a.o.LogProbs {
		a.logProbs = append(a.logProbs, logProb(p, next, a.o.TopLogProbs))
	}
	if before, found := adapters.CutAtStop(string(a.text), a.o.Stop); found {
		a.text, a.finish = []byte(before), adapters.FinishStop
		if a.o.LogProbs {
			a.logProbs = a.logProbs[:len(before)]
		}
	} else if a.tokens == cmp.Or(a.o.MaxNewTokens, 20) {
		a.finish = adapters.FinishLength
	}
	a.feed(step{token: next})
}

// stream emits what is certain.
func (a *fakeAnswer) stream() error {
	certain := string(a.text)
	if a.finish == adapters.FinishUnknown {
		certain = adapters.HoldBack(certain, a.o.Stop)
	}
	if a.emit == nil || len(certain) <= a.emitted {
		return nil
	}
	piece := adapters.Piece{Example: a.example, Text: certain[a.emitted:]}
	if a.o.LogProbs {
		piece.LogProbs = a.logProbs[a.emitted:len(certain)]
	}
	a.emitted = len(certain)
	return a.emit(piece)
}

// logProb returns the log-probability of a byte, with those of the n likeliest.
func logProb(p []float64, token, n int) adapters.TokenLogProb {
	named := func(token int) adapters.TokenLogProb {
		t := adapters.TokenLogProb{LogProb: float32(math.Log(p[token]))}
		if token != fakeEnd {
			t.Bytes = []byte{byte(token)}
			t.Text = strings.ToValidUTF8(string(t.Bytes), string(utf8.RuneError))
		}
		return t
	}
	out := named(token)
	if n == 0 {
		return out
	}
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[j], p[i]) })
	for _, i := range order[:min(n, len(order))] {
		out.Top = append(out.Top, named(i))
	}
	return out
}

// choose picks a printable ASCII byte or, unless barred, the end.
func choose(p []float64, barEnd, sample bool, rng *rand.Rand) int {
	best, total := ' ', 0.0
	p = slices.Clone(p)
	for v := range p {
		if v == fakeEnd && barEnd || v != fakeEnd && (v < ' ' || v > '~') {
			p[v] = 0
		}
		total += p[v]
		if p[v] > p[best] {
			best = rune(v)
		}
	}
	if !sample {
		return int(best)
	}
	u := rng.Float64() * total
	for v, pv := range p {
		if u -= pv; u < 0 {
			return v
		}
	}
	return int(best)
}
