package objective

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/qformer"
)

// Negatives are indices into the batch, int32[B] each.
type Negatives struct {
	Images *Node // Images[b] is the wrong picture for text b
	Texts  *Node // Texts[b] is the wrong text for picture b
}

// DrawNegatives draws a hard negative for each text and each picture, from the softmax of
// its scores over the candidates: the pairs that are not positive. If all are positive
// (a batch of one picture), the candidates are all pairs except its own, so that there
// always is one. Without rng it takes the candidate with the highest score. No gradient
// passes. It panics for a batch of one, which has no negatives.
//
// Scores are float32[B, B], pictures by texts; positive is bool[B, B].
func DrawNegatives(scores, positive *Node, rng *qformer.RNG) Negatives {
	n := scores.Shape().Dimensions[0]
	scores.AssertDims(n, n)
	positive.AssertDims(n, n)
	if n < 2 {
		panic(fmt.Errorf("batch of %d has no negatives for matching, want at least 2", n))
	}
	scores = StopGradient(scores)
	texts := drawRows(scores, positive, rng)
	images := drawRows(TransposeAllDims(scores, 1, 0), TransposeAllDims(positive, 1, 0), rng)
	return Negatives{Images: images, Texts: texts}
}

// drawRows picks one candidate of each row: int32[B].
func drawRows(scores, positive *Node, rng *qformer.RNG) *Node {
	g, n := scores.Graph(), scores.Shape().Dimensions[0]
	candidates := LogicalNot(positive)
	some := ReduceMax(ConvertDType(candidates, dtypes.Int32), 1)
	some = BroadcastToDims(InsertAxes(GreaterThan(some, Scalar(g, dtypes.Int32, 0)), -1), n, n)
	candidates = Where(some, candidates, LogicalNot(Diagonal(g, n)))
	if rng != nil {
		// The largest of scores plus Gumbel noise is a draw from their softmax.
		u := MaxScalar(rng.Uniform(n, n), math.SmallestNonzeroFloat32*1e10)
		scores = Sub(scores, Log(Neg(Log(u))))
	}
	scores = Where(candidates, scores, Scalar(g, dtypes.Float32, -math.MaxFloat32))
	return ArgMax(scores, 1, dtypes.Int32)
}

// MatchingLoss returns the ITM loss: the mean cross-entropy of "do they belong together"
// over 3·B pairs, in LAVIS's order: (picture, text), (wrong picture, text),
// (picture, wrong text). b.Negatives must be set.
func MatchingLoss(m *qformer.Model, images *qformer.ImageKV, b Batch) *Node {
	n := b.IDs.Shape().Dimensions[0]
	b.Negatives.Images.AssertDims(n)
	b.Negatives.Texts.AssertDims(n)
	g := b.IDs.Graph()
	own := Iota(g, shapes.Make(dtypes.Int32, n), 0)
	rows := Concatenate([]*Node{own, b.Negatives.Images, own}, 0)
	texts := InsertAxes(Concatenate([]*Node{own, own, b.Negatives.Texts}, 0), -1)
	logits := m.Match(images.Rows(rows), Gather(b.IDs, texts), gatherBool(b.Visible, texts))
	logits.AssertDims(3*n, 2)
	together := LessThan(Iota(g, shapes.Make(dtypes.Int32, 3*n), 0), Scalar(g, dtypes.Int32, int32(n)))
	target := OneHot(ConvertDType(together, dtypes.Int32), 2, dtypes.Float32)
	return softCrossEntropy(logits, target)
}

// gatherBool gathers from a boolean tensor, which backends gather only as
// numbers.
func gatherBool(x, indices *Node) *Node {
	picked := Gather(ConvertDType(x, dtypes.Int32), indices)
	return NotEqual(picked, ZerosLike(picked))
}
