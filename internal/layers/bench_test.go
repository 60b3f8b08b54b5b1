package layers

import (
	"fmt"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/internal/backends"
)

// BenchmarkScores measures q·kᵀ with both gradients at the kit's sizes: with the layout of this
// package, and with the usual product of rows with rows and automatic differentiation. See
// decision 0001.
func BenchmarkScores(b *testing.B) {
	ways := map[string]func(q, k *Node) *Node{
		"ours": func(q, k *Node) *Node { return product(q, operand{x: k, swapped: true}) },
		"auto": func(q, k *Node) *Node {
			return EinsumAxes(q, k, [][2]int{{3, 3}}, [][2]int{{0, 0}, {1, 1}})
		},
	}
	for _, length := range [][2]int{{10, 65}, {24, 24}, {65, 65}} { // cross-attention, a language model, the encoder
		for name, scores := range ways {
			b.Run(fmt.Sprintf("%dx%d/%s", length[0], length[1], name), func(b *testing.B) {
				e, err := NewExec(backends.ForTest(b), func(q, k *Node) []*Node {
					return Gradient(ReduceAllSum(Square(scores(q, k))), q, k)
				})
				if err != nil {
					b.Fatal(err)
				}
				defer e.Finalize()
				q := tensors.FromShape(shapes.Make(dtypes.Float32, 64, 4, length[0], 32))
				k := tensors.FromShape(shapes.Make(dtypes.Float32, 64, 4, length[1], 32))
				for b.Loop() {
					if _, err := e.Call(q, k); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
