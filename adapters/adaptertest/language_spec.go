package adaptertest

import (
	"errors"
	"math"
	"reflect"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

func (l *languageCases) testSpec(t T) {
	testSpec(t, l.spec.Spec, adapters.KindLanguage)
	l.loss(t, l.request())
	if again := l.m.Spec(); !reflect.DeepEqual(again, l.spec) {
		t.Errorf("spec changed from %+v to %+v", l.spec, again)
	}
	if a := l.spec.Architecture; a != adapters.DecoderOnly && a != adapters.EncoderDecoder {
		t.Errorf("architecture is %q, want %q or %q", a, adapters.DecoderOnly, adapters.EncoderDecoder)
	}
	if l.spec.Vocabulary <= 0 || !(l.spec.TokenNorm > 0) || !finite(l.spec.TokenNorm) {
		t.Errorf("spec has vocabulary %d and token norm %g, want positive numbers", l.spec.Vocabulary, l.spec.TokenNorm)
	}
	if l.spec.ContextTokens < 0 {
		t.Errorf("spec has a context of %d tokens, want a count, or 0 where it is not bounded", l.spec.ContextTokens)
	}
	if l.spec.EndOfAnswer == "" {
		t.Errorf("spec does not say what ends an answer")
	}
}

func (l *languageCases) testSpecAgain(t T) {
	other, err := l.another(t.Context())
	if err != nil {
		t.Fatalf("opening the checkpoint again: %v", err)
	}
	defer other.Close()
	if again := other.Spec(); !reflect.DeepEqual(again, l.spec) {
		t.Errorf("loaded again, the spec is %+v, it was %+v", again, l.spec)
	}
}

// errNoMethod is the error of an adapter whose type lacks a capability's method.
var errNoMethod = errors.New("the model has no such method")

// testCapabilities calls what each capability promises, named or not.
func (l *languageCases) testCapabilities(t T) {
	req := l.request()
	example := req.Examples[:1]
	for _, c := range []struct {
		name adapters.Capability
		call func() error
	}{
		{adapters.CapGradient, func() error {
			resp, err := l.m.Loss(t.Context(), &adapters.LossRequest{Prompts: req.Prompts, Examples: example, Gradient: true})
			if err == nil && resp.Gradient == nil {
				return adapters.Errorf(adapters.Internal, "the response has no gradient")
			}
			return err
		}},
		{adapters.CapScore, func() error {
			m, ok := l.m.(adapters.Scorer)
			if !ok {
				return errNoMethod
			}
			_, err := m.Score(t.Context(), &adapters.ScoreRequest{Prompts: req.Prompts, Examples: example, Candidates: [][]string{l.o.Texts[1:2]}})
			return err
		}},
		{adapters.CapEmbedTokens, func() error {
			m, ok := l.m.(adapters.TokenEmbedder)
			if !ok {
				return errNoMethod
			}
			_, err := m.EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{Texts: l.o.Texts[:1]})
			return err
		}},
		{adapters.CapCountTokens, func() error {
			m, ok := l.m.(adapters.TokenCounter)
			if !ok {
				return errNoMethod
			}
			_, err := m.CountTokens(t.Context(), l.o.Texts[:1])
			return err
		}},
		{adapters.CapRowOptions, l.generates(t, func(r *adapters.GenerateRequest) { r.Rows = []adapters.GenerateOptions{{MaxNewTokens: 2}} })},
		{adapters.CapCancelRows, l.generates(t, func(r *adapters.GenerateRequest) { r.Cancel = make(chan int, 1) })},
		{adapters.CapStop, l.generates(t, func(r *adapters.GenerateRequest) { r.Options.Stop = []string{"."} })},
		{adapters.CapLogProbs, l.generates(t, func(r *adapters.GenerateRequest) { r.Options.LogProbs = true })},
	} {
		err := c.call()
		switch {
		case l.spec.Has(c.name) && err != nil:
			t.Errorf("the spec names the capability %q, and its method fails: %v", c.name, err)
		case !l.spec.Has(c.name) && err == nil:
			t.Errorf("the spec does not name the capability %q, and its method works", c.name)
		case !l.spec.Has(c.name) && !errors.Is(err, errNoMethod) && adapters.KindOf(err) != adapters.Unsupported:
			t.Errorf("without the capability %q its method gives %s, want kind %q", c.name, kindText(err), adapters.Unsupported)
		}
	}
}

// twoTokens is a request for an answer of at most two tokens.
func (l *languageCases) twoTokens() *adapters.GenerateRequest {
	return &adapters.GenerateRequest{Examples: l.plainExamples(), Options: adapters.GenerateOptions{MaxNewTokens: 2}}
}

// generates returns a function that generates by a changed request.
func (l *languageCases) generates(t T, change func(*adapters.GenerateRequest)) func() error {
	return func() error {
		req := l.twoTokens()
		change(req)
		resp, err := l.m.Generate(t.Context(), req, nil)
		if err == nil {
			err = resp.Check(req)
		}
		return err
	}
}

func (l *languageCases) testTokenNorm(t T) {
	embedder, ok := adapters.AsTokenEmbedder(l.m)
	if !ok {
		t.Fatalf("the spec names the capability %q, the model lacks its methods", adapters.CapEmbedTokens)
	}
	all, err := embedder.EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
	if err != nil {
		t.Fatalf("embed tokens: %v", err)
	}
	rows := all.Embeddings.Shape[0]
	if rows == 0 {
		t.Fatalf("the vocabulary has no rows")
	}
	var mean float64
	for i := range rows {
		mean += length(values(t, "embedding", all.Embeddings.Row(i))) / float64(rows)
	}
	// The special tokens are not among the rows.
	if reported := float64(l.spec.TokenNorm); math.Abs(reported-mean) > 0.25*mean {
		t.Errorf("the spec's token norm is %g, the mean norm of the %d embeddings is %g", reported, rows, mean)
	}
}

// maxLongText bounds the text of a request that is to be refused.
const maxLongText = 8 << 20

func (l *languageCases) testContext(t T) {
	limit := l.spec.ContextTokens
	if limit == 0 {
		t.Skipf("the spec says that the context is not bounded")
	}
	if need := (limit + 1) * len(l.o.Texts[1]); need > maxLongText {
		t.Skipf("a text that is longer than %d tokens would take up to %d bytes", limit, need)
	}
	long := strings.Repeat(l.o.Texts[1], limit+1) // each time a token at least
	segments := func(text string) []adapters.Segment {
		return []adapters.Segment{adapters.PromptSegment(0), adapters.TextSegment(text)}
	}
	prompts := l.prompts(1)
	for name, e := range map[string]adapters.Example{
		"a text":   {Segments: segments(long), Target: l.o.Texts[1]},
		"a target": {Segments: segments(l.o.Texts[0]), Target: long},
	} {
		_, err := l.m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: []adapters.Example{e}})
		if name == "a target" && l.spec.Architecture == adapters.EncoderDecoder && err == nil {
			continue // a decoder may read more than the encoder
		}
		wantKind(t, "loss of "+name+" that is longer than the context", err, adapters.Invalid)
	}
	_, err := l.m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: prompts,
		Examples: []adapters.Example{{Segments: segments(long)}}, Options: adapters.GenerateOptions{MaxNewTokens: 2}}, nil)
	wantKind(t, "generate after a text that is longer than the context", err, adapters.Invalid)
}
