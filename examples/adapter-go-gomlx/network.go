package main

import (
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// The vocabulary has the bytes and the end of an answer. nothing is an id without an
// embedding.
const (
	end        = 256
	vocabulary = 257
	nothing    = 257
)

// network is the model in GoMLX. T is the length of a sequence, D the width:
//
//	x = embedding or soft prompt                            [T, D]
//	y = tanh(x + softmax(mask(x·Q·(x·K)ᵀ/√D))·x·V)          [T, D]
//	logits = y·U                                            [T, vocabulary]
//
// A graph is compiled and kept for each T.
type network struct {
	width   int
	embed   *tensors.Tensor    // [vocabulary+1, D], the last row 0
	project [3]*tensors.Tensor // Q, K, V, [D, D]
	unembed *tensors.Tensor    // [D, vocabulary]

	norm                   float64 // mean norm of the embeddings
	logits, loss, gradient *Exec
}

// newNetwork draws random weights.
func newNetwork(backend compute.Backend, width int, seed uint64) (*network, error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	draw := func(rows, columns int, scale float64) []float32 {
		values := make([]float32, rows*columns)
		for i := range values {
			values[i] = float32(scale * rng.NormFloat64())
		}
		return values
	}
	n := &network{width: width}
	embed := draw(vocabulary, width, 1)
	for row := range vocabulary {
		sum := 0.0
		for _, x := range embed[row*width : (row+1)*width] {
			sum += float64(x) * float64(x)
		}
		n.norm += math.Sqrt(sum) / vocabulary
	}
	n.embed = tensors.FromFlatDataAndDimensions(append(embed, make([]float32, width)...), vocabulary+1, width)
	for i := range n.project {
		n.project[i] = tensors.FromFlatDataAndDimensions(draw(width, width, 1/math.Sqrt(float64(width))), width, width)
	}
	n.unembed = tensors.FromFlatDataAndDimensions(draw(width, vocabulary, 1), width, vocabulary)
	return n, n.compile(backend)
}

// compile prepares the three graphs. GoMLX builds them when a length first occurs.
func (n *network) compile(backend compute.Backend) (err error) {
	if n.logits, err = NewExec(backend, n.buildLogits); err != nil {
		return err
	}
	if n.loss, err = NewExec(backend, n.buildLoss); err != nil {
		return err
	}
	n.gradient, err = NewExec(backend, func(ids, soft, next, weight *Node) (*Node, *Node) {
		loss := n.buildLoss(ids, soft, next, weight)
		return loss, Gradient(loss, soft)[0] // the whole code for the gradient
	})
	return err
}

func (n *network) close() {
	for _, exec := range []*Exec{n.logits, n.loss, n.gradient} {
		exec.Finalize()
	}
}

// buildLogits returns float32[T, vocabulary] for ids int32[T] and soft float32[T, D]. soft has
// values only at positions whose id is nothing, and 0 elsewhere.
func (n *network) buildLogits(ids, soft *Node) *Node {
	g := ids.Graph()
	x := Add(Gather(ConstTensor(g, n.embed), InsertAxes(ids, -1)), soft)
	q, k, v := n.times(x, 0), n.times(x, 1), n.times(x, 2)
	scores := DivScalar(Einsum("td,sd->ts", q, k), math.Sqrt(float64(n.width)))
	hidden := Scalar(g, dtypes.Float32, -1e9)
	scores = Where(LowerTriangular(g, ids.Shape().Dimensions[0]), scores, BroadcastToDims(hidden, scores.Shape().Dimensions...))
	y := Tanh(Add(x, Einsum("ts,sd->td", Softmax(scores, -1), v)))
	return Einsum("td,dv->tv", y, ConstTensor(g, n.unembed))
}

func (n *network) times(x *Node, i int) *Node {
	return Einsum("td,de->te", x, ConstTensor(x.Graph(), n.project[i]))
}

// buildLoss returns Σ −log p of next int32[T] over the positions with weight float32[T] 1.
func (n *network) buildLoss(ids, soft, next, weight *Node) *Node {
	logp := LogSoftmax(n.buildLogits(ids, soft), -1)
	picked := ReduceSum(Mul(logp, OneHot(next, vocabulary, dtypes.Float32)), -1)
	return Neg(ReduceAllSum(Mul(picked, weight)))
}
