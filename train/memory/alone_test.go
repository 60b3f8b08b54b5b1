package memory

import (
	"math"
	"testing"
)

// The peaks are of `make bench-torch` with XLA for the CPU (docs/benchmarks.md): generate-1, and opt-loss with 8 pictures,
// which a processor computes in parts, as it does 16.
func TestAModelAlone(t *testing.T) {
	opt := Frozen{ID: "opt-125m", Parameters: 125_239_296, Number: 4, Width: 768, Layers: 12, FeedForward: 3072, Heads: 12, Vocabulary: 50272}
	use := Alone(opt, 0, false)
	for name, c := range map[string]struct {
		got      Process
		measured float64
	}{"inference": {use.Inference, 0.92e9}, "stage 2": {use.Stage2, 1.00e9}} {
		if got := float64(c.got.Peak()); math.Abs(got/c.measured-1) > Tolerance || !c.got.Known {
			t.Errorf("%s of OPT-125M is estimated at %.0f MB, it took %.0f: %+v", name, got/1e6, c.measured/1e6, c.got.Parts)
		}
	}
	vit := Frozen{ID: "vit-l", Parameters: 303_179_776, Number: 4, Width: 1024, Layers: 24, FeedForward: 4096, Heads: 16}
	one := Alone(vit, 257, false)
	if i, s := one.Inference.Peak(), one.Stage2.Peak(); i <= one.Inference.Certain() || i >= s {
		t.Errorf("ViT-L takes %d for a picture, %d for 16", i, s)
	}
	if gpu := Alone(vit, 257, true); gpu.Stage2.Certain() != one.Stage2.Certain() || gpu.Stage2.Peak() == one.Stage2.Peak() {
		t.Errorf("ViT-L on a GPU: %+v", gpu.Stage2)
	}
}

// A model without sizes takes in an estimate what its manifest says that it took.
func TestAModelThatWasMeasured(t *testing.T) {
	const weights, peak = 4 << 30, 7 << 30
	f := Frozen{ID: "mine", Parameters: weights / 4, Number: 4, Example: ExampleOf(peak, weights, false)}
	if got := Alone(f, 0, false).Stage2; math.Abs(float64(got.Peak())/peak-1) > 0.01 || !got.Known {
		t.Errorf("measured %d, estimated %d", peak, got.Peak())
	}
	if got := ExampleOf(0, weights, false); got != 0 {
		t.Errorf("a model that nobody measured takes %d for an example", got)
	}
}
