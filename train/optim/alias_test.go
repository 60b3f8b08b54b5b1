package optim_test

import (
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/train/optim"
)

// A step that changes a weight in place must not change another's gradient, even where the graph returns
// one node for both gradients, or a weight as a gradient.
func TestGradientsShareNoMemory(t *testing.T) {
	for name, loss := range map[string]func(a, b *Node) *Node{
		"both gradients are equal": func(a, b *Node) *Node { return ReduceAllSum(Square(Add(a, b))) },
		"gradients are weights":    func(a, b *Node) *Node { return ReduceAllSum(Mul(a, b)) },
	} {
		t.Run(name, func(t *testing.T) {
			got, want := stepTwo(t, false, loss), stepTwo(t, true, loss)
			for i := range want {
				near(t, name, got[i], want[i], 1e-6)
			}
		})
	}
}

// stepTwo steps two weights four times, in place or in graphs, and returns them.
func stepTwo(t *testing.T, graphs bool, loss func(a, b *Node) *Node) (values [2][]float32) {
	t.Helper()
	backend, store, names := backends.ForTest(t), model.NewStore(), []string{"a", "b"}
	const n = 19 // vectors, and a rest
	for k, name := range names {
		value := make([]float32, n)
		for i := range value {
			value[i] = float32(i%7+1+3*k) / 5
		}
		if _, err := store.CreateVariable(layers.VariablePath(name), tensors.FromFlatDataAndDimensions(value, n)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := optim.New(backend, store, []optim.Group{{Names: names}}, optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, ClipNorm: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if graphs && o.InPlace() {
		if err := o.UseGraphs(); err != nil {
			t.Fatal(err)
		}
	}
	exec := model.MustNewExec(backend, store, func(_ *model.Scope, g *Graph) []*Node {
		weights := o.Parameters(g)
		gradients := Gradient(loss(weights[0], weights[1]), weights...)
		return append([]*Node{optim.Norms(gradients)}, gradients...)
	})
	defer exec.Finalize()
	for range 4 {
		out := exec.MustCall()
		if _, err := o.Step([]float64{1e-2}, out[0], out[1:]); err != nil {
			t.Fatal(err)
		}
		out[0].FinalizeAll()
	}
	for k, name := range names {
		values[k] = tensors.MustCopyFlatData[float32](store.GetVariable(layers.VariablePath(name)).MustValue())
	}
	return values
}
