package lm

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/hosttensor"
)

func random(rng *rand.Rand, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	return tensors.FromFlatDataAndDimensions(values, dims...)
}

// Beams that share keys and values attend to them as if each had its own copy, also if several
// query heads share a head of keys.
func TestBeamsShareKeysAndValues(t *testing.T) {
	const batch, k, heads, group, width, prompt, capacity = 2, 3, 2, 4, 5, 7, 3
	rng := rand.New(rand.NewPCG(1, 2))
	exec := MustNewExec(backends.ForTest(t), func(in []*Node) []*Node {
		q, keys, values, ownKeys, ownValues, lengths := in[0], in[1], in[2], in[3], in[4], in[5]
		repeat := func(x *Node) *Node {
			wide := BroadcastToDims(InsertAxes(x, 1), batch, k, heads, prompt, width)
			return Reshape(wide, batch*k, heads, prompt, width)
		}
		own := KeyValues{Keys: ownKeys, Values: ownValues, Bias: StepBias(Const(q.Graph(), int32(1)), capacity)}
		padding := PaddingBias(lengths, prompt)
		return []*Node{
			Attend(q, 0.5, 0, KeyValues{Keys: keys, Values: values, Bias: padding}, own),
			Attend(q, 0.5, 0, KeyValues{Keys: repeat(keys), Values: repeat(values), Bias: padding}, own),
		}
	})
	out := exec.MustCall(random(rng, batch*k, heads, group, width), random(rng, batch, heads, prompt, width), random(rng, batch, heads, prompt, width),
		random(rng, batch*k, heads, capacity, width), random(rng, batch*k, heads, capacity, width), []int32{7, 7, 7, 4, 4, 4})
	shared, err := hosttensor.Float32s(out[0])
	if err != nil {
		t.Fatal(err)
	}
	copied, err := hosttensor.Float32s(out[1])
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range copied {
		if !(math.Abs(float64(shared[i]-want)) < 1e-5) {
			t.Fatalf("element %d of %d is %g, with copies %g", i, len(copied), shared[i], want)
		}
	}
}
