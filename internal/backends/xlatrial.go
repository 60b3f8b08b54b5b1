package backends

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/xlaflags"
)

// AnswerTrial must be called at the beginning of main. It returns at once, unless this program was started
// to find out which flags a plugin of XLA knows. A program that does not call it uses none of XLA's caches.
func AnswerTrial() { xlaflags.AnswerTrial(tryPlugin) }

// tryPlugin computes a product of matrices and a sum with a plugin.
func tryPlugin(path string) error {
	b, err := loadXLA(path)
	if err != nil {
		return err
	}
	x := make([][]float32, 64)
	for i := range x {
		x[i] = make([]float32, 64)
	}
	_, err = graph.CallOnce(b, func(x *graph.Node) *graph.Node {
		return graph.ReduceAllSum(graph.Exp(graph.Dot(x, x).Product()))
	}, x)
	return err
}
