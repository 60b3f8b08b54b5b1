package adaptertest

import (
	"math"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// testMany compares examples of a large batch with each alone.
func (l *languageCases) testMany(t T) {
	few := l.request()
	one := *few
	one.Examples = few.Examples[:1]
	n := many(func() { l.loss(t, &one) })
	req := *few
	req.Examples = nil
	for i := range n {
		req.Examples = append(req.Examples, few.Examples[i%len(few.Examples)])
		if i%5 == 0 {
			req.Examples[i].Target = ""
		}
	}
	whole := l.loss(t, &req)
	if req.Gradient {
		values(t, "gradient", whole.Gradient)
	}
	for _, i := range []int{0, n/2 + 1, n - 1} {
		one.Examples = req.Examples[i : i+1]
		got := l.loss(t, &one)
		wantClose(t, "loss of an example of many", whole.Loss[i:i+1], got.Loss, l.o.Tolerance)
		if got.Tokens[0] != whole.Tokens[i] {
			t.Errorf("example %d of %d has %d tokens, %d alone", i, n, whole.Tokens[i], got.Tokens[0])
		}
	}
	answers := l.generate(t, &adapters.GenerateRequest{Prompts: req.Prompts, Examples: req.Examples,
		Options: adapters.GenerateOptions{MaxNewTokens: 2}}, nil)
	for i, text := range answers.Texts {
		if first := i % len(few.Examples); l.exact() && text != answers.Texts[first] {
			t.Errorf("answer %d is %q, that of the equal example %d is %q", i, text, first, answers.Texts[first])
		}
	}
}

// longest returns the longest text that fits the context beside others, of at most 500
// tokens. A token has at least one byte.
func (l *languageCases) longest(t T) string {
	capacity := 500
	if c := l.spec.ContextTokens; c > 0 {
		capacity = min(capacity, c-2*l.o.QueryTokens-len(l.o.Texts[1])-4)
	}
	text := l.o.Texts[0]
	for n := 2; ; n++ {
		longer := strings.Repeat(l.o.Texts[1], n)
		if len(longer) > capacity {
			counter, ok := adapters.AsTokenCounter(l.m)
			if !ok {
				return text
			}
			counts, err := counter.CountTokens(t.Context(), []string{longer})
			if err != nil {
				t.Fatalf("count tokens: %v", err)
			}
			if int(counts[0]) > capacity {
				return text
			}
		}
		text = longer
	}
}

func (l *languageCases) testLong(t T) {
	req := l.request()
	req.Examples = req.Examples[:2]
	short := l.loss(t, req)
	long := adapters.Example{Segments: []adapters.Segment{adapters.PromptSegment(0), adapters.TextSegment(l.longest(t))}, Target: l.o.Texts[1]}
	both := *req
	both.Examples = append(req.Examples[:2:2], long)
	whole := l.loss(t, &both)
	wantClose(t, "losses beside a long text", whole.Loss[:2], short.Loss, l.o.Tolerance)
	alone := *req
	alone.Examples = both.Examples[2:]
	wantClose(t, "loss of a long text alone", l.loss(t, &alone).Loss, whole.Loss[2:], l.o.Tolerance)
}

func (l *languageCases) testEmpty(t T) {
	a := adapters.TextSegment(l.o.Texts[0])
	nothing := adapters.TextSegment("")
	prompts := l.prompts(1)
	for name, req := range map[string]*adapters.LossRequest{
		"an empty text":                         {Examples: []adapters.Example{{Segments: []adapters.Segment{nothing}, Target: l.o.Texts[1]}}},
		"nothing but an empty text":             {Examples: []adapters.Example{{Segments: []adapters.Segment{nothing}}}},
		"an empty text around a prompt":         {Prompts: prompts, Examples: []adapters.Example{{Segments: []adapters.Segment{nothing, adapters.PromptSegment(0), nothing}}}},
		"an empty target after a prompt":        {Prompts: prompts, Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}}}},
		"prompts that no example uses":          {Prompts: prompts, Examples: []adapters.Example{{Segments: []adapters.Segment{a}}}},
		"no prompts, but a tensor of them":      {Prompts: adapters.NewTensor(adapters.Float32, 0, l.o.QueryTokens, l.spec.Width), Examples: []adapters.Example{{Segments: []adapters.Segment{a}}}},
		"prompts of no rows, beside a text":     {Prompts: adapters.NewTensor(adapters.Float32, 1, 0, l.spec.Width), Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0), a}}}},
		"prompts of no rows and no text at all": {Prompts: adapters.NewTensor(adapters.Float32, 1, 0, l.spec.Width), Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}}}},
	} {
		req.Gradient = req.Prompts != nil && l.spec.Has(adapters.CapGradient)
		resp, err := l.m.Loss(t.Context(), req)
		if err == nil {
			err = resp.Check(l.spec, req)
			if err == nil && !(finite(resp.Loss[0]) && resp.Tokens[0] >= 1) {
				t.Errorf("%s: the loss is %g over %d tokens, want a finite one over the end token at least", name, resp.Loss[0], resp.Tokens[0])
			}
		} else if adapters.KindOf(err) == adapters.Invalid {
			err = nil // allowed: there is nothing that the first token could follow
		}
		if err != nil {
			t.Errorf("%s: got %s, want a loss or an error of kind %q", name, kindText(err), adapters.Invalid)
		}
		_, err = l.m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: req.Prompts, Examples: req.Examples,
			Options: adapters.GenerateOptions{MaxNewTokens: 2}}, nil)
		if err != nil && adapters.KindOf(err) != adapters.Invalid {
			t.Errorf("%s: generate gives %s, want an answer or kind %q", name, kindText(err), adapters.Invalid)
		}
	}
}

func (l *languageCases) testUnicode(t T) {
	for _, text := range []string{
		"naïve café", "日本語の文", "🐕 left of 🍎", "a\nb\tc", "e\u0301", // a combining acute
		"q\u0323\u0307\u0301", "👩\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "שלום עולם", "\u202eabc\u202c", "مرحبا", "𝕳𝖎",
		"\ufeffa", "a\u00a0b\u2003c", "\u200b",
	} {
		req := &adapters.LossRequest{Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.TextSegment(text)}, Target: " " + text},
		}}
		if loss := l.loss(t, req).Loss[0]; !finite(loss) {
			t.Errorf("the loss of %q is %g", text, loss)
		}
	}
}

func (l *languageCases) testNUL(t T) {
	a := l.o.Texts[0]
	ask := func(text string) (*adapters.LossResponse, error) {
		return l.m.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.TextSegment(a)}, Target: text}}})
	}
	with, err := ask("\x00" + l.o.Texts[1])
	if kind := adapters.KindOf(err); err != nil && (kind == adapters.Invalid || kind == adapters.Unsupported) {
		return
	}
	if err != nil || !finite(with.Loss[0]) {
		t.Fatalf("a text with a NUL: got %s, want a finite loss or an error of kind %q", kindText(err), adapters.Invalid)
	}
	if with.Tokens[0] < 2 {
		t.Errorf("a target that begins with a NUL has %d token, the end alone: it is cut there", with.Tokens[0])
	}
}

func (l *languageCases) testNotUTF8(t T) {
	a := adapters.TextSegment(l.o.Texts[0])
	for _, text := range []string{"\xff", "\xed\xa0\x80", "ab\xc3"} { // the second is a lone surrogate
		broken := []adapters.Segment{adapters.TextSegment(text)}
		for _, e := range []adapters.Example{{Segments: broken}, {Segments: []adapters.Segment{a}, Target: text}} {
			_, err := l.m.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{e}})
			wantKind(t, "loss of a text that is no UTF-8", err, adapters.Invalid)
		}
		_, err := l.m.Generate(t.Context(), &adapters.GenerateRequest{Examples: []adapters.Example{{Segments: broken}}}, nil)
		wantKind(t, "generate after a text that is no UTF-8", err, adapters.Invalid)
		if scorer, ok := adapters.AsScorer(l.m); ok {
			_, err := scorer.Score(t.Context(), &adapters.ScoreRequest{
				Examples: []adapters.Example{{Segments: []adapters.Segment{a}}}, Candidates: [][]string{{text}}})
			wantKind(t, "score of a text that is no UTF-8", err, adapters.Invalid)
		}
	}
}

func (l *languageCases) testNotFinite(t T) {
	clean := l.request()
	want := l.loss(t, clean)
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		req := l.request()
		req.Prompts.Float32s()[0] = float32(x) // of prompt 0, which examples 0 and 2 use
		resp, err := l.m.Loss(t.Context(), req)
		if err != nil {
			survivable(t, "loss with a prompt that is no number", err)
			continue
		}
		if err := resp.Check(l.spec, req); err != nil {
			t.Fatalf("loss: %v", err)
		}
		if math.IsNaN(x) && (finite(resp.Loss[0]) || finite(resp.Loss[2])) {
			t.Errorf("with NaN in a prompt the losses are %v: a fault upstream would go unseen", resp.Loss)
		}
		for _, i := range []int{1, 3} {
			wantClose(t, "loss of an example without the prompt that is no number", resp.Loss[i:i+1], want.Loss[i:i+1], l.o.Tolerance)
		}
		generate := l.generateRequest()
		generate.Prompts = req.Prompts
		if _, err := l.m.Generate(t.Context(), generate, nil); err != nil {
			survivable(t, "generate with a prompt that is no number", err)
		}
	}
	l.same(t, clean, want)
}

func (l *languageCases) testRefused(t T) {
	good := l.request()
	wide := adapters.NewTensor(adapters.Float32, 2, l.o.QueryTokens, l.spec.Width+1)
	flat := adapters.NewTensor(adapters.Float32, l.o.QueryTokens, l.spec.Width)
	for name, req := range map[string]*adapters.LossRequest{
		"no examples":           {},
		"no segments":           {Examples: []adapters.Example{{Target: "a"}}},
		"no such prompt":        {Prompts: good.Prompts, Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(2)}}}},
		"negative prompt":       {Prompts: good.Prompts, Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(-1)}}}},
		"prompt without any":    {Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}}}},
		"prompts too wide":      {Prompts: wide, Examples: good.Examples},
		"prompts of two axes":   {Prompts: flat, Examples: good.Examples},
		"prompts of integers":   {Prompts: adapters.NewTensor(adapters.Int32, good.Prompts.Shape...), Examples: good.Examples},
		"prompts without bytes": {Prompts: &adapters.Tensor{DType: adapters.Float32, Shape: good.Prompts.Shape}, Examples: good.Examples},
	} {
		_, err := l.m.Loss(t.Context(), req)
		wantKind(t, "loss, "+name, err, adapters.Invalid)
		_, err = l.m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: req.Prompts, Examples: req.Examples}, nil)
		wantKind(t, "generate, "+name, err, adapters.Invalid)
	}
	l.loss(t, good)
}
