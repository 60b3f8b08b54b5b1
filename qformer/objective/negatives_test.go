package objective_test

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/qformer/objective"
)

// step returns a function that computes the losses of three pairs, of which the
// first two are one pair twice, without dropout.
func step(t *testing.T, c objective.Config) func(seed int64, negatives *[2][]int32) []float32 {
	t.Helper()
	cfg := small()
	cfg.HiddenSize, cfg.Intermediate, cfg.Layers, cfg.Vocabulary, cfg.Dropout, cfg.InitStd = 20, 24, 2, 60, 0, 0.2
	store := fresh(t, cfg, cfg.Parameters(qformer.Stage1))
	features := tensors.MustCopyFlatData[float32](ramp(3, 5, cfg.EncoderWidth))
	copy(features[5*cfg.EncoderWidth:], features[:5*cfg.EncoderWidth])
	ids := []int32{1, 5, 6, 2, 1, 5, 6, 2, 1, 33, 41, 2}
	return func(seed int64, negatives *[2][]int32) []float32 {
		exec := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) *Node {
			g := in[0].Graph()
			b := objective.Batch{Features: in[0], IDs: in[1], Visible: NotEqual(in[1], ZerosLike(in[1])), ImageIDs: Const(g, []int32{7, 7, 3})}
			if negatives != nil {
				b.Negatives = &objective.Negatives{Images: Const(g, negatives[0]), Texts: Const(g, negatives[1])}
			}
			l := objective.Stage1(qformer.New(cfg, store, g, nil), c, b, qformer.NewRNG(in[2]))
			return Stack([]*Node{l.Total, l.ITC, l.ITM, l.ITG}, 0)
		})
		defer exec.Finalize()
		out := exec.MustCall(tensors.FromFlatDataAndDimensions(features, 3, 5, cfg.EncoderWidth), tensors.FromFlatDataAndDimensions(ids, 3, 4), state(t, seed))
		return tensors.MustCopyFlatData[float32](out[0])
	}
}

// Negatives of the same picture would teach ITM that right captions are wrong.
// Pairs 0 and 1 are equal, so that only pair 2 may stand against them and
// either of them against pair 2: ITM is the same whatever is drawn.
func TestStage1DrawsNoNegativeOfTheSamePicture(t *testing.T) {
	losses := step(t, objective.Config{ITM: 1, Begin: 59})
	want := losses(1, &[2][]int32{{2, 2, 0}, {2, 2, 1}})[2]
	wrong := losses(1, &[2][]int32{{1, 2, 0}, {2, 0, 1}})[2]
	if math.Abs(float64(want-wrong)) < 1e-3 {
		t.Fatalf("the batch does not tell: ITM is %g and %g", want, wrong)
	}
	for seed := range int64(6) {
		if got := losses(seed, nil)[2]; math.Abs(float64(got-want)) > 1e-5 {
			t.Errorf("seed %d: ITM is %g, want %g: a negative is of the same picture", seed, got, want)
		}
	}
}

// Weights that were ignored would train all three objectives alike, and one of
// weight 0 would still cost its time.
func TestStage1WeighsTheObjectives(t *testing.T) {
	for _, w := range [][3]float64{{1, 1, 1}, {2, 0.5, 3}, {0, 1, 0}, {0.25, 0, 0}, {0, 0, 2}} {
		l := step(t, objective.Config{ITC: w[0], ITM: w[1], ITG: w[2], Smoothing: 0.1, Begin: 59})(1, nil)
		var want float64
		for i, weight := range w {
			want += weight * float64(l[1+i])
			if (l[1+i] != 0) != (weight != 0) {
				t.Errorf("weights %v: loss %d is %g", w, i, l[1+i])
			}
		}
		if math.Abs(float64(l[0])-want) > 1e-4 {
			t.Errorf("weights %v: the total is %g, want %g of %v", w, l[0], want, l[1:])
		}
	}
}
