package objective_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/qformer/objective"
)

// drawer draws negatives for scores, positives and a key.
func drawer(t *testing.T) func(scores [][]float32, positive [][]bool, seed int64) (images, texts []int32) {
	t.Helper()
	exec := MustNewExec(backends.ForTest(t), func(scores, positive, state *Node) (*Node, *Node) {
		n := objective.DrawNegatives(scores, positive, qformer.NewRNG(state))
		return n.Images, n.Texts
	})
	return func(scores [][]float32, positive [][]bool, seed int64) (images, texts []int32) {
		out := exec.MustCall(scores, positive, state(t, seed))
		return tensors.MustCopyFlatData[int32](out[0]), tensors.MustCopyFlatData[int32](out[1])
	}
}

func TestNegativesAreNeverOfTheSamePicture(t *testing.T) {
	// Pictures 0, 2 and 1, 4 are the same; right pairs score highest by far.
	ids := []int{7, 3, 7, 9, 3, 5}
	scores, positive := table(len(ids), func(i, j int) float32 {
		if ids[i] == ids[j] {
			return 50
		}
		return float32(i-j) / 3
	}), sameIDs(ids)
	draw := drawer(t)
	for seed := range int64(100) {
		images, texts := draw(scores, positive, seed)
		for b := range ids {
			if ids[images[b]] == ids[b] || ids[texts[b]] == ids[b] {
				t.Fatalf("seed %d: pair %d got picture %d and text %d of the same picture", seed, b, images[b], texts[b])
			}
		}
	}
}

// Losses and gradients do not depend on gradient checkpointing. Dropout is on: the second computation
// of a layer must draw the numbers of the first.
func TestCheckpointingChangesNothing(t *testing.T) {
	cfg := small()
	cfg.HiddenSize, cfg.Layers, cfg.Heads, cfg.Intermediate, cfg.EncoderWidth, cfg.Vocabulary, cfg.Dropout = 16, 3, 2, 24, 8, 40, 0.2
	var want []*tensors.Tensor
	for _, on := range []bool{false, true} {
		exec, inputs := stage1Step(t, cfg, 3, on)
		got, err := exec.Exec(inputs...)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
			continue
		}
		for i := range got {
			for k, x := range tensors.MustCopyFlatData[float32](got[i]) {
				if y := tensors.MustCopyFlatData[float32](want[i])[k]; math.Abs(float64(x-y)) > 1e-5*max(1, math.Abs(float64(y))) {
					t.Fatalf("output %d, element %d: %v with checkpointing, %v without", i, k, x, y)
				}
			}
		}
	}
}

func TestABatchOfOnePictureDrawsOtherPairs(t *testing.T) {
	ids := []int{1, 1, 1}
	scores, positive := table(3, func(int, int) float32 { return 0 }), sameIDs(ids)
	draw := drawer(t)
	for seed := range int64(50) {
		images, texts := draw(scores, positive, seed)
		for b := range ids {
			if int(images[b]) == b || int(texts[b]) == b {
				t.Fatalf("seed %d: pair %d is its own negative", seed, b)
			}
		}
	}
}

// The counts of many draws must fit softmax over the candidates: Pearson's
// statistic below its 1 - 1e-6 quantile for 2 degrees of freedom.
func TestNegativesFollowTheSoftmax(t *testing.T) {
	scores := [][]float32{{9, 0, 1, -1}, {2, 9, 0, 1}, {0.5, 1, 9, -0.5}, {0, 1.5, -1, 9}}
	positive := sameIDs([]int{0, 1, 2, 3})
	draw := drawer(t)
	const draws, limit = 4000, 27.6
	counts := [2][4][4]float64{}
	for seed := range int64(draws) {
		images, texts := draw(scores, positive, seed)
		for b := range 4 {
			counts[0][b][texts[b]]++
			counts[1][b][images[b]]++
		}
	}
	for b := range 4 {
		for side, score := range []func(j int) float32{
			func(j int) float32 { return scores[b][j] }, // texts for picture b
			func(j int) float32 { return scores[j][b] }, // pictures for text b
		} {
			total, chi := 0.0, 0.0
			for j := range 4 {
				if j != b {
					total += math.Exp(float64(score(j)))
				}
			}
			for j := range 4 {
				if j == b {
					continue
				}
				want := draws * math.Exp(float64(score(j))) / total
				chi += (counts[side][b][j] - want) * (counts[side][b][j] - want) / want
			}
			if chi > limit {
				t.Errorf("row %d, side %d: statistic %.1f over %.1f; counts %v", b, side, chi, limit, counts[side][b])
			}
		}
	}
}

func TestWithoutAKeyTheMostSimilarIsTaken(t *testing.T) {
	scores := [][]float32{{9, 1, 3}, {2, 9, 0}, {0, 4, 9}}
	out := MustExecOnceN(backends.ForTest(t), func(s, p *Node) (*Node, *Node) {
		n := objective.DrawNegatives(s, p, nil)
		return n.Images, n.Texts
	}, scores, sameIDs([]int{0, 1, 2}))
	images, texts := tensors.MustCopyFlatData[int32](out[0]), tensors.MustCopyFlatData[int32](out[1])
	if !slices.Equal(images, []int32{1, 2, 0}) || !slices.Equal(texts, []int32{2, 0, 1}) {
		t.Errorf("got pictures %v and texts %v, want [1 2 0] and [2 0 1]", images, texts)
	}
}

func TestABatchOfOneHasNoNegatives(t *testing.T) {
	_, err := ExecOnceN(backends.ForTest(t), func(s, p *Node) *Node { return objective.DrawNegatives(s, p, nil).Images },
		[][]float32{{1}}, [][]bool{{true}})
	if err == nil || !strings.Contains(err.Error(), "batch of 1 has no negatives") {
		t.Errorf("got %v, want an error about a batch of 1", err)
	}
}

func TestContrastOnAKnownTable(t *testing.T) {
	// Two pictures, equal scores: every softmax is 1/2, every target sums to 1.
	got := MustExecOnce(backends.ForTest(t), func(s, p *Node) *Node { return objective.ContrastiveLoss(s, p, 0.1) },
		[][]float32{{3, 3}, {3, 3}}, sameIDs([]int{0, 1}))
	if v := tensors.ToScalar[float32](got); math.Abs(float64(v)-math.Ln2) > 1e-6 {
		t.Errorf("got %v, want log 2", v)
	}
}

func TestAStepIsAFunctionOfItsKey(t *testing.T) {
	cfg := small()
	cfg.HiddenSize, cfg.Intermediate, cfg.Layers, cfg.Vocabulary = 20, 24, 2, 60
	step, inputs := stage1Step(t, cfg, 4, false)
	run := func(seed int64) (losses []float32, rest [][]float32) {
		inputs[3] = state(t, seed)
		out := step.MustCall(inputs...)
		for i, o := range out {
			if v := tensors.MustCopyFlatData[float32](o); i < 4 {
				losses = append(losses, v...)
			} else {
				rest = append(rest, v)
			}
		}
		return losses, rest
	}
	first, gradients := run(1)
	again, gradientsAgain := run(1)
	other, _ := run(2)
	if !slices.Equal(first, again) || !slices.EqualFunc(gradients, gradientsAgain, slices.Equal[[]float32]) {
		t.Error("one key gives two steps")
	}
	if slices.Equal(first, other) {
		t.Error("two keys give the same step")
	}
	if sum := first[1] + first[2] + first[3]; math.Abs(float64(first[0]-sum)) > 1e-4 {
		t.Errorf("the total is %v, the parts sum to %v", first[0], sum)
	}
}

func table(n int, f func(i, j int) float32) [][]float32 {
	t := make([][]float32, n)
	for i := range t {
		t[i] = make([]float32, n)
		for j := range t[i] {
			t[i][j] = f(i, j)
		}
	}
	return t
}

func sameIDs(ids []int) [][]bool {
	t := make([][]bool, len(ids))
	for i := range t {
		for j := range ids {
			t[i] = append(t[i], ids[i] == ids[j])
		}
	}
	return t
}
