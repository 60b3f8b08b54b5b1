package adaptertest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// TestLanguage runs the conformance cases of language models. open returns a
// model that is ready; the suite closes it.
func TestLanguage(t *testing.T, open func() adapters.LanguageModel, options Options) {
	m := open()
	l := &languageCases{m: m, spec: m.Spec(), o: options.withDefaults()}
	for _, c := range []struct {
		name  string
		run   func(t *testing.T)
		needs adapters.Capability // without it there is nothing to test
	}{
		{"spec", l.testSpec, ""},
		{"loss", l.testLoss, ""},
		{"deterministic", l.testDeterministic, ""},
		{"alone as in a batch", l.testAlone, ""},
		{"texts are joined", l.testJoined, ""},
		{"gradient", l.testGradient, ""},
		{"generate", l.testGenerate, ""},
		{"options of generation", l.testOptions, ""},
		{"emit ends the call", l.testEmit, ""},
		{"score", l.testScore, adapters.CapScore},
		{"embed tokens", l.testEmbedTokens, adapters.CapEmbedTokens},
		{"count tokens", l.testCountTokens, adapters.CapCountTokens},
		{"unicode", l.testUnicode, ""},
		{"refused", l.testRefused, ""},
		{"canceled", l.testCanceled, ""},
		{"at once", l.testAtOnce, ""},
	} {
		if c.needs == "" || l.spec.Has(c.needs) {
			t.Run(c.name, c.run)
		}
	}
	if err := m.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

type languageCases struct {
	m    adapters.LanguageModel
	spec adapters.LanguageSpec
	o    Options
}

// prompts returns float32[m, Q, D] at the norm of the model's own embeddings.
func (l *languageCases) prompts(m int) *adapters.Tensor {
	p := adapters.NewTensor(adapters.Float32, m, l.o.QueryTokens, l.spec.Width)
	norm := float64(l.spec.TokenNorm)
	if norm == 0 {
		norm = 1
	}
	rng := rand.New(rand.NewPCG(11, 11))
	for i := range p.Float32s() {
		p.Float32s()[i] = float32(rng.NormFloat64() * norm / math.Sqrt(float64(l.spec.Width)))
	}
	return p
}

// request returns examples of unequal lengths: padding must not matter.
func (l *languageCases) request() *adapters.LossRequest {
	a, b := l.o.Texts[0], l.o.Texts[1]
	return &adapters.LossRequest{
		Prompts: l.prompts(2),
		Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.PromptSegment(0), adapters.TextSegment(a)}, Target: b},
			{Segments: []adapters.Segment{adapters.PromptSegment(1)}, Target: a},
			{Segments: []adapters.Segment{adapters.PromptSegment(1), adapters.TextSegment(a + b), adapters.PromptSegment(0)}, Target: b},
			{Segments: []adapters.Segment{adapters.TextSegment(a)}, Target: b},
		},
		Gradient: l.spec.Has(adapters.CapGradient),
	}
}

func (l *languageCases) loss(t *testing.T, req *adapters.LossRequest) *adapters.LossResponse {
	t.Helper()
	resp, err := l.m.Loss(t.Context(), req)
	if err != nil {
		t.Fatalf("loss: %v", err)
	}
	if err := resp.Check(l.spec, req); err != nil {
		t.Fatalf("loss: %v", err)
	}
	return resp
}

func (l *languageCases) testSpec(t *testing.T) {
	testSpec(t, l.spec.Spec, adapters.KindLanguage)
	if again := l.m.Spec(); !reflect.DeepEqual(again, l.spec) {
		t.Errorf("spec changed from %+v to %+v", l.spec, again)
	}
	if a := l.spec.Architecture; a != adapters.DecoderOnly && a != adapters.EncoderDecoder {
		t.Errorf("architecture is %q, want %q or %q", a, adapters.DecoderOnly, adapters.EncoderDecoder)
	}
	if l.spec.Vocabulary <= 0 || !(l.spec.TokenNorm > 0) {
		t.Errorf("spec has vocabulary %d and token norm %g, want positive numbers", l.spec.Vocabulary, l.spec.TokenNorm)
	}
	_, scores := l.m.(adapters.Scorer)
	_, embeds := l.m.(adapters.TokenEmbedder)
	_, counts := l.m.(adapters.TokenCounter)
	for c, has := range map[adapters.Capability]bool{
		adapters.CapScore: scores, adapters.CapEmbedTokens: embeds, adapters.CapCountTokens: counts,
	} {
		if l.spec.Has(c) && !has {
			t.Errorf("spec names the capability %q, the model lacks its method", c)
		}
	}
}

func (l *languageCases) testLoss(t *testing.T) {
	req := l.request()
	resp := l.loss(t, req)
	for i, loss := range resp.Loss {
		if !(loss >= 0) || math.IsInf(float64(loss), 0) {
			t.Errorf("loss of example %d is %g, want a finite sum of −log p", i, loss)
		}
		if resp.Tokens[i] < 1 {
			t.Errorf("example %d has %d target tokens, want at least the end token", i, resp.Tokens[i])
		}
	}
	other := *req
	other.Prompts = l.prompts(2)
	slices.Reverse(other.Prompts.Float32s())
	changed := l.loss(t, &other)
	if changed.Loss[0] == resp.Loss[0] {
		t.Error("the loss does not depend on the soft prompts")
	}
	if changed.Loss[3] != resp.Loss[3] {
		wantClose(t, "loss of an example without soft prompts", changed.Loss[3:4], resp.Loss[3:4], l.o.Tolerance)
	}
	empty := &adapters.LossRequest{Examples: []adapters.Example{
		{Segments: []adapters.Segment{adapters.TextSegment(l.o.Texts[0])}},
	}}
	if got := l.loss(t, empty); got.Tokens[0] != 1 {
		t.Errorf("an empty target after a text has %d tokens, want the end token alone", got.Tokens[0])
	}
}

func (l *languageCases) testDeterministic(t *testing.T) {
	req := l.request()
	a, b := l.loss(t, req), l.loss(t, req)
	if !slices.Equal(a.Loss, b.Loss) || !slices.Equal(a.Tokens, b.Tokens) {
		t.Errorf("the same request has the losses %v, then %v", a.Loss, b.Loss)
	}
	if req.Gradient {
		wantSame(t, "gradient of the same request", b.Gradient, a.Gradient)
	}
	if !reflect.DeepEqual(req, l.request()) {
		t.Error("loss has changed its request")
	}
}

func (l *languageCases) testAlone(t *testing.T) {
	req := l.request()
	whole := l.loss(t, req)
	sum := make([]float32, len(req.Prompts.Float32s()))
	for i, e := range req.Examples {
		alone := *req
		alone.Examples = []adapters.Example{e}
		got := l.loss(t, &alone)
		wantClose(t, "loss of an example alone", got.Loss, whole.Loss[i:i+1], l.o.Tolerance)
		if got.Tokens[0] != whole.Tokens[i] {
			t.Errorf("example %d has %d tokens alone, %d in the batch", i, got.Tokens[0], whole.Tokens[i])
		}
		if req.Gradient {
			for j, g := range values(t, "gradient alone", got.Gradient) {
				sum[j] += g
			}
		}
	}
	if req.Gradient {
		wantClose(t, "sum of the gradients alone", sum, values(t, "gradient", whole.Gradient), l.o.Tolerance)
	}
}

func (l *languageCases) testJoined(t *testing.T) {
	a, b := l.o.Texts[0], l.o.Texts[1]
	ask := func(segments ...string) float32 {
		var s []adapters.Segment
		for _, text := range segments {
			s = append(s, adapters.TextSegment(text))
		}
		return l.loss(t, &adapters.LossRequest{Examples: []adapters.Example{{Segments: s, Target: b}}}).Loss[0]
	}
	wantClose(t, "loss after a text in two segments", []float32{ask(a[:len(a)/2], a[len(a)/2:])}, []float32{ask(a)}, l.o.Tolerance)
}

// testGradient compares with the central difference along random directions.
func (l *languageCases) testGradient(t *testing.T) {
	req := l.request()
	if !req.Gradient {
		_, err := l.m.Loss(t.Context(), &adapters.LossRequest{Prompts: req.Prompts, Examples: req.Examples, Gradient: true})
		wantKind(t, "gradient without the capability", err, adapters.Unsupported)
		return
	}
	gradient := values(t, "gradient", l.loss(t, req).Gradient)
	at := func(direction []float32, step float64) float64 {
		moved := *req
		moved.Gradient = false
		moved.Prompts = l.prompts(2)
		for i, d := range direction {
			moved.Prompts.Float32s()[i] += float32(step * float64(d))
		}
		var sum float64
		for _, loss := range l.loss(t, &moved).Loss {
			sum += float64(loss)
		}
		return sum
	}
	var norm float64
	for _, g := range gradient {
		norm += float64(g) * float64(g)
	}
	if norm == 0 {
		t.Fatal("the gradient is zero")
	}
	norm = math.Sqrt(norm)
	along := make([]float32, len(gradient)) // the gradient's own direction, then random ones
	for i, g := range gradient {
		along[i] = float32(float64(g) / norm)
	}
	rng := rand.New(rand.NewPCG(13, 13))
	for try := range 3 {
		var want float64
		for i, g := range gradient {
			want += float64(g) * float64(along[i])
		}
		got := (at(along, l.o.Epsilon) - at(along, -l.o.Epsilon)) / (2 * l.o.Epsilon)
		if math.Abs(got-want) > l.o.GradientTolerance*norm {
			t.Errorf("along direction %d the loss changes by %g, by the gradient %g (its norm %g)", try, got, want, norm)
		}
		var length float64
		for i := range along {
			along[i] = float32(rng.NormFloat64())
			length += float64(along[i]) * float64(along[i])
		}
		for i := range along {
			along[i] /= float32(math.Sqrt(length))
		}
	}
}

func (l *languageCases) generateRequest() *adapters.GenerateRequest {
	req := l.request()
	return &adapters.GenerateRequest{Prompts: req.Prompts, Examples: req.Examples,
		Options: adapters.GenerateOptions{MaxNewTokens: 6}}
}

func (l *languageCases) testGenerate(t *testing.T) {
	req := l.generateRequest()
	pieces := make([]string, len(req.Examples))
	streamed, err := l.m.Generate(t.Context(), req, func(p adapters.Piece) error {
		pieces[p.Example] += p.Text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := l.m.Generate(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain, streamed) {
		t.Errorf("generate gives %+v, streamed %+v", plain, streamed)
	}
	for i, text := range plain.Texts {
		if text != strings.TrimSpace(text) {
			t.Errorf("answer %d is %q, want its outer white space trimmed", i, text)
		}
		if got := strings.TrimSpace(pieces[i]); got != text {
			t.Errorf("the pieces of answer %d are %q, the answer is %q", i, got, text)
		}
		if n := plain.Tokens[i]; n < 1 || n > 6 {
			t.Errorf("answer %d has %d tokens, want 1 to 6", i, n)
		}
		alone := *req
		alone.Examples = req.Examples[i : i+1]
		if got, err := l.m.Generate(t.Context(), &alone, nil); err != nil || got.Texts[0] != text {
			t.Errorf("answer %d alone is %v (error %v), in the batch %q", i, got, err, text)
		}
	}
}

// testOptions asks for what a model either does as transformers does it or
// refuses as unsupported.
func (l *languageCases) testOptions(t *testing.T) {
	greedy := l.generateRequest().Options
	with := func(change func(o *adapters.GenerateOptions)) adapters.GenerateOptions {
		o := greedy
		change(&o)
		return o
	}
	negative := -1.0
	for _, c := range []struct {
		name     string
		options  adapters.GenerateOptions
		optional bool // may be refused
		asGreedy bool // must give what greedy search gives
	}{
		{name: "one beam", options: with(func(o *adapters.GenerateOptions) { o.NumBeams = 1 }), asGreedy: true},
		{name: "options of sampling without it", options: with(func(o *adapters.GenerateOptions) { o.TopK, o.Temperature, o.Seed = 2, 3, 5 }), asGreedy: true},
		{name: "one token", options: with(func(o *adapters.GenerateOptions) { o.MaxNewTokens = 1 })},
		{name: "a minimum", options: with(func(o *adapters.GenerateOptions) { o.MinNewTokens = 6 })},
		{name: "repetition penalty", optional: true, options: with(func(o *adapters.GenerateOptions) { o.RepetitionPenalty = 1.5 })},
		{name: "sampling", optional: true, options: with(func(o *adapters.GenerateOptions) { o.Sample, o.Seed = true, 3 })},
		{name: "top-k 1", optional: true, asGreedy: true, options: with(func(o *adapters.GenerateOptions) { o.Sample, o.TopK = true, 1 })},
		{name: "a tiny top-p", optional: true, asGreedy: true, options: with(func(o *adapters.GenerateOptions) { o.Sample, o.TopP = true, 1e-9 })},
		{name: "a low temperature", optional: true, asGreedy: true, options: with(func(o *adapters.GenerateOptions) { o.Sample, o.Temperature = true, 1e-6 })},
		{name: "beams", optional: true, options: with(func(o *adapters.GenerateOptions) { o.NumBeams = 3 })},
		{name: "beams with a minimum", optional: true, options: with(func(o *adapters.GenerateOptions) {
			o.NumBeams, o.MinNewTokens, o.LengthPenalty, o.EarlyStopping = 2, 6, &negative, adapters.EarlyStoppingTrue
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := l.generateRequest()
			want, err := l.m.Generate(t.Context(), req, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Options = c.options
			got, err := l.m.Generate(t.Context(), req, nil)
			if c.optional && adapters.KindOf(err) == adapters.Unsupported {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.asGreedy && !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, greedily %+v", got, want)
			}
			for i, n := range got.Tokens {
				if int(n) < max(1, c.options.MinNewTokens) || int(n) > c.options.MaxNewTokens {
					t.Errorf("answer %d has %d tokens, want %d to %d", i, n, max(1, c.options.MinNewTokens), c.options.MaxNewTokens)
				}
			}
			last := len(req.Examples) - 1
			alone := *req
			alone.Examples = req.Examples[last:]
			if one, err := l.m.Generate(t.Context(), &alone, nil); err != nil || one.Texts[0] != got.Texts[last] {
				t.Errorf("answer %d alone is %+v (error %v), in the batch %q", last, one, err, got.Texts[last])
			}
		})
	}
}

func (l *languageCases) testEmit(t *testing.T) {
	stop, calls := errors.New("enough"), 0
	req := l.generateRequest()
	req.Options.MinNewTokens = 4
	_, err := l.m.Generate(t.Context(), req, func(adapters.Piece) error {
		calls++
		return stop
	})
	if calls > 1 || (calls == 1 && !errors.Is(err, stop)) {
		t.Errorf("emit returned an error; it was called %d times and generate returned %v", calls, err)
	}
}

func (l *languageCases) testScore(t *testing.T) {
	scorer, ok := adapters.AsScorer(l.m)
	if !ok {
		t.Fatal("the spec names the capability, the model lacks its methods")
	}
	req := l.request()
	ask := &adapters.ScoreRequest{Prompts: req.Prompts}
	var want []float32
	for _, e := range req.Examples {
		ask.Examples = append(ask.Examples, adapters.Example{Segments: e.Segments})
		ask.Candidates = append(ask.Candidates, l.o.Texts[:2])
		for _, target := range l.o.Texts[:2] {
			one := &adapters.LossRequest{Prompts: req.Prompts, Examples: []adapters.Example{{Segments: e.Segments, Target: target}}}
			want = append(want, -l.loss(t, one).Loss[0])
		}
	}
	got, err := scorer.Score(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Check(ask); err != nil {
		t.Fatal(err)
	}
	wantClose(t, "scores against −loss", values(t, "scores", got.Scores), want, l.o.Tolerance)
}

func (l *languageCases) testEmbedTokens(t *testing.T) {
	embedder, ok := adapters.AsTokenEmbedder(l.m)
	if !ok {
		t.Fatal("the spec names the capability, the model lacks its methods")
	}
	for _, req := range []*adapters.EmbedTokensRequest{{}, {Texts: l.o.Texts}, {Texts: []string{"", l.o.Texts[0]}}} {
		resp, err := embedder.EmbedTokens(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Check(l.spec, req); err != nil {
			t.Fatal(err)
		}
		values(t, "embeddings", resp.Embeddings)
		var rows int32
		for _, n := range resp.Counts {
			rows += n
		}
		if len(req.Texts) > 0 && int(rows) != len(resp.Surfaces) {
			t.Errorf("counts %v for %d rows", resp.Counts, len(resp.Surfaces))
		}
		if len(req.Texts) == 0 && (len(resp.Surfaces) == 0 || len(resp.Surfaces) > l.spec.Vocabulary) {
			t.Errorf("the vocabulary has %d rows, the spec says %d", len(resp.Surfaces), l.spec.Vocabulary)
		}
	}
}

func (l *languageCases) testCountTokens(t *testing.T) {
	counter, ok := adapters.AsTokenCounter(l.m)
	if !ok {
		t.Fatal("the spec names the capability, the model lacks its methods")
	}
	counts, err := counter.CountTokens(t.Context(), []string{"", l.o.Texts[0], l.o.Texts[0] + l.o.Texts[1]})
	if err != nil {
		t.Fatal(err)
	}
	if len(counts) != 3 || counts[0] != 0 || counts[1] < 1 || counts[2] <= counts[1] {
		t.Errorf("counts of nothing, a text and a longer one are %v", counts)
	}
}

func (l *languageCases) testUnicode(t *testing.T) {
	for _, text := range []string{"naïve café", "日本語の文", "🐕 left of 🍎", "a\nb\tc", "e\u0301"} {
		req := &adapters.LossRequest{Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.TextSegment(text)}, Target: " " + text},
		}}
		if loss := l.loss(t, req).Loss[0]; math.IsNaN(float64(loss)) || math.IsInf(float64(loss), 0) {
			t.Errorf("the loss of %q is %g", text, loss)
		}
	}
}

func (l *languageCases) testRefused(t *testing.T) {
	good := l.request()
	text := []adapters.Segment{adapters.TextSegment("a")}
	wide := adapters.NewTensor(adapters.Float32, 2, l.o.QueryTokens, l.spec.Width+1)
	for name, req := range map[string]*adapters.LossRequest{
		"no examples":         {},
		"no segments":         {Examples: []adapters.Example{{Target: "a"}}},
		"no such prompt":      {Prompts: good.Prompts, Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(2)}}}},
		"negative prompt":     {Prompts: good.Prompts, Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(-1)}}}},
		"prompt without any":  {Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}}}},
		"prompts too wide":    {Prompts: wide, Examples: good.Examples},
		"prompts of integers": {Prompts: adapters.NewTensor(adapters.Int32, good.Prompts.Shape...), Examples: good.Examples},
	} {
		_, err := l.m.Loss(t.Context(), req)
		wantKind(t, "loss, "+name, err, adapters.Invalid)
		_, err = l.m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: req.Prompts, Examples: req.Examples}, nil)
		wantKind(t, "generate, "+name, err, adapters.Invalid)
	}
	_, err := l.m.Generate(t.Context(), &adapters.GenerateRequest{
		Examples: []adapters.Example{{Segments: text}}, Options: adapters.GenerateOptions{TopP: 2}}, nil)
	wantKind(t, "generate, top-p 2", err, adapters.Invalid)
}

func (l *languageCases) testCanceled(t *testing.T) {
	wantCanceled(t, "loss", func(ctx context.Context) error {
		_, err := l.m.Loss(ctx, l.request())
		return err
	})
	wantCanceled(t, "generate", func(ctx context.Context) error {
		_, err := l.m.Generate(ctx, l.generateRequest(), nil)
		return err
	})
	l.loss(t, l.request()) // and the model lives on
}

func (l *languageCases) testAtOnce(t *testing.T) {
	want := l.loss(t, l.request())
	answer, err := l.m.Generate(t.Context(), l.generateRequest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	atOnce(t, func(i int) error {
		if i%2 == 0 {
			got, err := l.m.Loss(t.Context(), l.request())
			if err == nil && !reflect.DeepEqual(got, want) {
				err = errors.New("losses or gradient differ from those of a call alone")
			}
			return err
		}
		got, err := l.m.Generate(t.Context(), l.generateRequest(), nil)
		if err == nil && !reflect.DeepEqual(got, answer) {
			err = errors.New("answers differ from those of a call alone")
		}
		return err
	})
}
