package eval

import (
	"math"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
)

// gauge is a small random bridge and features of n pictures. The fake language
// model forgets its soft prompts within a few bytes, hence the short texts.
func gauge(t *testing.T, n int) (*bridge.Model, *adapters.Tensor) {
	t.Helper()
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = 16, 1, 2, 16, 2
	c.EncoderWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim, c.InitStd = 8, 5, 4, 8, 0.2
	first, err := bridge.New(backends.ForTest(t), c, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Close)
	lm := adaptertest.NewFakeLanguage("fake", 3)
	b, err := first.ForLanguage(lm.Spec(), bridge.Templates{Caption: "a"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	features := adapters.NewTensor(adapters.Float32, n, 3, 8)
	for i := range features.Float32s() {
		features.Float32s()[i] = float32(i*7919%211)/105 - 1
	}
	return &bridge.Model{Bridge: b, Language: lm}, features
}

// perToken is the mean loss per target token of captions after prompts, one by
// one; nil is no picture.
func perToken(t *testing.T, m *bridge.Model, prompts []*adapters.Tensor, captions []string) float64 {
	t.Helper()
	var nats, tokens float64
	for i, caption := range captions {
		e := adapters.Example{Segments: []adapters.Segment{adapters.TextSegment("a")}, Target: caption}
		req := &adapters.LossRequest{Examples: []adapters.Example{e}}
		if prompts != nil {
			req.Prompts = prompts[i]
			req.Examples[0].Segments = append([]adapters.Segment{adapters.PromptSegment(0)}, e.Segments...)
		}
		resp, err := m.Language.Loss(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		nats, tokens = nats+float64(resp.Loss[0]), tokens+float64(resp.Tokens[0])
	}
	return nats / tokens
}

// A gauge that showed the right picture as the "other" one would say that a
// bridge ignores pictures; one that mixed up rows, that it looks at none.
func TestGroundingShowsTheRightPictureAnotherAndNone(t *testing.T) {
	for _, n := range []int{2, 67} { // two, and more than go into one request
		m, features := gauge(t, n)
		captions, rows, examples := make([]string, n), make([]*adapters.Tensor, n), make([]adapters.Example, n)
		all, err := m.SoftPrompts(t.Context(), features)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			captions[i], rows[i] = string(rune(33+i)), all.Slice(i, i+1)
			examples[i] = m.Info.Templates.CaptionExample(i, captions[i])
		}
		got, _, err := MeasureGrounding(t.Context(), m, features, examples)
		if err != nil {
			t.Fatal(err)
		}
		half := append(append([]*adapters.Tensor{}, rows[n/2:]...), rows[:n/2]...) // half a data set away
		want := Grounding{Right: perToken(t, m, rows, captions), Other: perToken(t, m, half, captions), None: perToken(t, m, nil, captions)}
		for part, pair := range map[string][2]float64{"right": {got.Right, want.Right}, "other": {got.Other, want.Other}, "none": {got.None, want.None}} {
			if math.Abs(pair[0]-pair[1]) > 1e-5 {
				t.Errorf("%d pictures: %s is %g, want %g", n, part, pair[0], pair[1])
			}
		}
		if math.Abs(want.Right-want.Other) < 1e-3 || math.Abs(want.Right-want.None) < 1e-3 {
			t.Errorf("the pictures do not tell: %+v", want)
		}
	}
}
