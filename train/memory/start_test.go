package memory

import (
	"math"
	"testing"

	"github.com/modular-bridging/bridge/qformer"
)

// kitSwap returns a swap of the kit's bridge on features from the cache: a Q-Former with 4 layers of width 160.
func kitSwap(s Start) Run {
	c := qformer.Config{HiddenSize: 160, Layers: 4, Heads: 4, Intermediate: 640, Queries: 8, CrossEvery: 2, EncoderWidth: 128, LanguageWidth: 128,
		Words: 126, Residual: true}
	if s.OldEncoder != nil {
		c.EncoderWidth, c.Words = 160, 0
	}
	return Run{Stage: 2, QFormer: c, Trained: int64(qformer.Count(c.Parameters(qformer.Stage2))), Pictures: 4, Text: 12, Evaluated: 64,
		Tokens: 65, FeatureNumber: 2, Start: &s, Vision: &Frozen{ID: "vit", Parameters: 826368, Number: 4, Width: 160, Layers: 4, FeedForward: 512, Heads: 4, Picture: 3 * 64 * 64}}
}

// The peaks were measured by `make check-memory` on two cores with XLA for the CPU (docs/models.md).
func TestStartsOfTheKit(t *testing.T) {
	for name, c := range map[string]struct {
		start    Start
		measured float64
	}{
		"words":   {Start{Pictures: 2048, Words: 126, OldWidth: 128}, 544e6},
		"encoder": {Start{OldEncoder: &Encoder{Tokens: 65, Width: 128, Number: 4, Picture: 3 * 64 * 64}, Mapped: 384}, 545e6},
	} {
		p := kitSwap(c.start).Processes()[0]
		got := float64(p.Peak())
		if math.Abs(got/c.measured-1) > Tolerance {
			t.Errorf("a swap through %s is estimated at %.0f MB, it took %.0f: %+v", name, got/1e6, c.measured/1e6, p.Parts)
		}
		t.Logf("%s: %.0f MB, measured %.0f (%+.0f %%)", name, got/1e6, c.measured/1e6, 100*(got/c.measured-1))
	}
}

// A swap of the paper's size holds gigabytes before its first step. The parts are counted by hand.
func TestStartOfThePapersSize(t *testing.T) {
	r := base(2)
	r.Tokens, r.QFormer.EncoderWidth, r.FeatureNumber, r.QFormer.LanguageWidth = 257, 1408, 2, 2048
	r.Start = &Start{Pictures: 2048, Words: 2000, OldWidth: 2560}
	const pictures, vectors = 2048 * 257 * 1408 * 2, 2048 * 32
	want := int64(2 * (pictures + (4+8)*vectors*(768+2560)))
	if got := r.begin().work[0].Bytes - r.wordsStep(); got != want {
		t.Errorf("words: %d bytes of features and vectors, want %d", got, want)
	}
	r.Start = &Start{Pictures: 2048, Outputs: true}
	if got, least := r.begin().work[0].Bytes, int64(pictures+(4+2*8)*vectors*(768+2048)); got < least || got > 2*least {
		t.Errorf("outputs: %d bytes, want between what is in use, %d, and twice as much", got, least)
	}
	r.Start = &Start{Pictures: 128, Tokens: 32128, OldWidth: 2560, OldVocabulary: 50272}
	if got, least := r.begin().work[0].Bytes, int64(4*50272*2560+2*8*32128*(2560+2048)); got < least || got > 3*least {
		t.Errorf("tokens: %d bytes, want at least the embeddings and two copies in float64, %d", got, least)
	}
	r.Start = &Start{OldEncoder: &Encoder{Tokens: 257, Width: 1024, Number: 4, Picture: 3 * 224 * 224}, Mapped: 384}
	if got, least := r.begin().work[0].Bytes, int64(2*8*384*257*(1408+1024)); got < least || got > 3*least {
		t.Errorf("an encoder: %d bytes, want at least two copies of the features in float64, %d", got, least)
	}
}

func TestOnlyTheLargestOfStartAndTrainingCounts(t *testing.T) {
	none, small, large := base(2), base(2), base(2)
	small.Start = &Start{Pictures: 64, Words: 100, OldWidth: 768}
	large.Start = &Start{Pictures: 2048, Words: 2000, OldWidth: 768}
	peak := func(r Run) int64 { return r.Processes()[0].Peak() }
	if peak(small) != peak(none) || peak(large) <= peak(none) {
		t.Errorf("a run takes %d without a start, %d with a small one, %d with a large one", peak(none), peak(small), peak(large))
	}
	none.OnGPU, large.OnGPU = true, true
	if peak(large) != peak(none) {
		t.Errorf("on a GPU a run takes %d without a start, and %d with one, which is on the host", peak(none), peak(large))
	}
	kept := base(2)
	if kept.CachedOutputs = 1000; peak(kept) != peak(base(2))+1000*32*768*4 {
		t.Errorf("a run with outputs of 1000 pictures takes %d, without %d", peak(kept), peak(base(2)))
	}
}
