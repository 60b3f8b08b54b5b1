package objective

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// ContrastiveLoss returns the ITC loss: the mean of the cross-entropies of each picture
// over the texts and of each text over the pictures. Scores float32[B, B] are
// similarities over temperature, pictures by texts; positive bool[B, B] marks
// right pairs, which share the target's weight equally; smoothing/B goes to
// every pair.
func ContrastiveLoss(scores, positive *Node, smoothing float64) *Node {
	n := scores.Shape().Dimensions[0]
	scores.AssertDims(n, n)
	positive.AssertDims(n, n)
	target := ConvertDType(positive, dtypes.Float32)
	target = Div(target, ReduceAndKeep(target, ReduceSum, 1))
	target = AddScalar(MulScalar(target, 1-smoothing), smoothing/float64(n))
	loss := Add(softCrossEntropy(scores, target), softCrossEntropy(TransposeAllDims(scores, 1, 0), target))
	return MulScalar(loss, 0.5)
}

// softCrossEntropy returns the mean over rows of −Σ target·log softmax(logits), both
// float32[B, C].
func softCrossEntropy(logits, target *Node) *Node {
	nll := Sub(ReduceAndKeep(logits, logSumExp, -1), logits)
	return ReduceMean(ReduceSum(Mul(target, nll), -1), 0)
}

// logSumExp returns log Σ exp over axes, without overflow. It has the signature of a
// reduction, for ReduceAndKeep.
func logSumExp(x *Node, axes ...int) *Node {
	top := StopGradient(ReduceAndKeep(x, ReduceMax, axes...))
	sum := ReduceSum(Exp(Sub(x, top)), axes...)
	return Add(Log(sum), Reshape(top, sum.Shape().Dimensions...))
}
