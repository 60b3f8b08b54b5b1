package layers_test

import (
	"math"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	_ "github.com/gomlx/compute/gobackend"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/layers"
)

func backend(t *testing.T) compute.Backend {
	t.Helper()
	b, err := compute.NewWithConfig("go:parallelism=-1")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func near(t *testing.T, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d elements, want %d", len(got), len(want))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tol) {
			t.Errorf("element %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestActivationsOnKnownPoints(t *testing.T) {
	x := []float32{-2, -0.5, 0, 1, 3}
	// From PyTorch 2.11's functional forms.
	want := map[string][]float32{
		"gelu":       {-0.04550028, -0.15426877, 0, 0.84134477, 2.9959502},
		"gelu_new":   {-0.04540229, -0.15428598, 0, 0.8411920, 2.9963627},
		"quick_gelu": {-0.06434137, -0.14961156, 0, 0.8457957, 2.9819288},
		"relu":       {0, 0, 0, 1, 3},
		"relu2":      {0, 0, 0, 1, 9},
		"silu":       {-0.23840584, -0.18877033, 0, 0.7310586, 2.8577223},
		"tanh":       {-0.9640276, -0.46211717, 0, 0.7615942, 0.9950548},
	}
	for alias, name := range map[string]string{"gelu_python": "gelu", "gelu_fast": "gelu_new", "gelu_pytorch_tanh": "gelu_new", "swish": "silu"} {
		want[alias] = want[name]
	}
	if len(want) != len(layers.Activations()) {
		t.Errorf("%d activations are tested, want all %d", len(want), len(layers.Activations()))
	}
	for name, w := range want {
		got := MustExecOnce(backend(t), func(x *Node) *Node { return layers.Activation(name, x) }, x)
		near(t, tensors.MustCopyFlatData[float32](got), w, 2e-6)
	}
}

func TestLinearUsesPyTorchLayout(t *testing.T) {
	store := model.NewStore()
	mustVar(t, store, "fc.weight", [][]float32{{1, 2}, {3, 4}, {5, 6}})
	mustVar(t, store, "fc.bias", []float32{10, 20, 30})
	got := model.MustCallOnce(backend(t), store, func(_ *model.Scope, x *Node) *Node {
		return layers.Linear(layers.NewParams(store, x.Graph()).At("fc"), x)
	}, [][]float32{{1, 1}, {0, 2}})
	near(t, tensors.MustCopyFlatData[float32](got), []float32{13, 27, 41, 14, 28, 42}, 0)
}

// A weight that is held transposed gives the same products.
func TestLinearWithATransposedWeight(t *testing.T) {
	store := model.NewStore()
	mustVar(t, store, "fc.weight"+layers.TransposedSuffix, [][]float32{{1, 3, 5}, {2, 4, 6}})
	mustVar(t, store, "fc.bias", []float32{10, 20, 30})
	got := model.MustCallOnce(backend(t), store, func(_ *model.Scope, x *Node) *Node {
		return layers.Linear(layers.NewParams(store, x.Graph()).At("fc"), x)
	}, [][]float32{{1, 1}, {0, 2}})
	near(t, tensors.MustCopyFlatData[float32](got), []float32{13, 27, 41, 14, 28, 42}, 0)
}

func TestLinearTransposedUsesGPT2Layout(t *testing.T) {
	store := model.NewStore()
	mustVar(t, store, "fc.weight", [][]float32{{1, 3, 5}, {2, 4, 6}})
	mustVar(t, store, "fc.bias", []float32{10, 20, 30})
	got := model.MustCallOnce(backend(t), store, func(_ *model.Scope, x *Node) *Node {
		return layers.LinearTransposed(layers.NewParams(store, x.Graph()).At("fc"), x)
	}, [][]float32{{1, 1}, {0, 2}})
	near(t, tensors.MustCopyFlatData[float32](got), []float32{13, 27, 41, 14, 28, 42}, 0)
}

// The results and the gradients by all weights are those of LayerNorm and Linear, in bfloat16 up to its rounding.
func TestLinearOfNorm(t *testing.T) {
	store := model.NewStore()
	mustVar(t, store, "norm.weight", []float32{0.5, -2, 0, 1})
	mustVar(t, store, "norm.bias", []float32{0.1, 0, -3, 2})
	mustVar(t, store, "fc.weight", [][]float32{{1, 2, -1, 0.5}, {3, -4, 2, 1}, {5, 6, 0, -2}})
	mustVar(t, store, "fc.bias", []float32{10, 20, 30})
	names, b := []string{"norm.weight", "norm.bias", "fc.weight", "fc.bias"}, backend(t)
	run := func(build func(p layers.Params, x *Node) *Node) [][]float32 {
		exec := model.MustNewExec(b, store, func(_ *model.Scope, in []*Node) []*Node {
			p := layers.NewParams(store, in[0].Graph())
			y, weights := build(p, in[0]), []*Node{}
			for _, name := range names {
				weights = append(weights, p.Get(name))
			}
			return append([]*Node{y}, Gradient(ReduceAllSum(Mul(y, in[1])), weights...)...)
		})
		var all [][]float32
		for _, out := range exec.MustCall([][]float32{{1, 5, -2, 0}, {3, 3, 4, -1}}, [][]float32{{1, -2, 3}, {0.5, 1, -1}}) {
			all = append(all, tensors.MustCopyFlatData[float32](out))
		}
		return all
	}
	got := run(func(p layers.Params, x *Node) *Node {
		return layers.LinearOfNorm(p.At("fc"), p.At("norm"), layers.Standardize(x, 0.03))
	})
	want := run(func(p layers.Params, x *Node) *Node {
		return layers.Linear(p.At("fc"), layers.LayerNorm(p.At("norm"), x, 0.03))
	})
	for i := range want {
		near(t, got[i], want[i], 2e-5)
	}
	rounded := run(func(p layers.Params, x *Node) *Node {
		p = p.WithDType(dtypes.BFloat16)
		x = ConvertDType(layers.Standardize(x, 0.03), dtypes.BFloat16)
		return ConvertDType(layers.LinearOfNorm(p.At("fc"), p.At("norm"), x), dtypes.Float32)
	})
	for i := range want {
		near(t, rounded[i], want[i], 0.2)
	}
}

// The Go backend's bfloat16 kernels give wrong results for some shapes on some processors.
func TestLinearInBFloat16IsNearFloat32(t *testing.T) {
	b := backend(t)
	for _, dims := range [][3]int{{20, 24, 24}, {34, 48, 24}, {34, 64, 64}, {130, 128, 512}} {
		rows, in, out := dims[0], dims[1], dims[2]
		x := tensors.FromFlatDataAndDimensions(ramp(rows*in, 0.1), rows, in)
		w := tensors.FromFlatDataAndDimensions(ramp(out*in, -0.07), out, in)
		run := func(dtype dtypes.DType) []float32 {
			return tensors.MustCopyFlatData[float32](MustExecOnce(b, func(x, w *Node) *Node {
				y := layers.LinearWith(ConvertDType(x, dtype), ConvertDType(w, dtype), nil)
				return ConvertDType(y, dtypes.Float32)
			}, x, w))
		}
		near(t, run(dtypes.BFloat16), run(dtypes.Float32), 0.12)
	}
}

func TestNormsUseTheGivenEpsilon(t *testing.T) {
	store := model.NewStore()
	mustVar(t, store, "weight", []float32{1, 2})
	mustVar(t, store, "bias", []float32{0, 1})
	x := [][]float32{{0.1, 0.3}}
	b := backend(t)
	run := func(f func(p layers.Params, x *Node) *Node) []float32 {
		return tensors.MustCopyFlatData[float32](model.MustCallOnce(b, store, func(_ *model.Scope, x *Node) *Node {
			return f(layers.NewParams(store, x.Graph()), x)
		}, x))
	}
	// variance 0.01, eps 0.03: (x − 0.2)/0.2
	near(t, run(func(p layers.Params, x *Node) *Node { return layers.LayerNorm(p, x, 0.03) }), []float32{-0.5, 2}, 1e-6)
	// mean square 0.05, eps 0.04: x/0.3
	near(t, run(func(p layers.Params, x *Node) *Node { return layers.RMSNorm(p, x, 0.04) }), []float32{1. / 3, 2}, 1e-6)
}

func TestAttentionWithAndWithoutBiasAgree(t *testing.T) {
	q := tensors.FromFlatDataAndDimensions(ramp(2*2*3*4, 0.1), 2, 2, 3, 4)
	k := tensors.FromFlatDataAndDimensions(ramp(2*2*5*4, -0.07), 2, 2, 5, 4)
	v := tensors.FromFlatDataAndDimensions(ramp(2*2*5*4, 0.3), 2, 2, 5, 4)
	b := backend(t)
	plain := MustExecOnce(b, func(q, k, v *Node) *Node {
		return layers.Attention(q, k, v, layers.AttentionOptions{})
	}, q, k, v)
	biased := MustExecOnce(b, func(q, k, v *Node) *Node {
		zero := layers.MaskBias(Const(q.Graph(), [][]bool{{true, true, true, true, true}}), -10000)
		return layers.Attention(q, k, v, layers.AttentionOptions{Bias: zero})
	}, q, k, v)
	near(t, tensors.MustCopyFlatData[float32](biased), tensors.MustCopyFlatData[float32](plain), 1e-6)

	hidden := MustExecOnce(b, func(q, k, v *Node) *Node {
		mask := layers.MaskBias(Const(q.Graph(), []bool{false, true, false, false, false}), -10000)
		return layers.Attention(q, k, v, layers.AttentionOptions{Bias: mask})
	}, q, k, v)
	near(t, tensors.MustCopyFlatData[float32](hidden)[:4], tensors.MustCopyFlatData[float32](v)[4:8], 1e-6)
}

// Attention to selected rows, and its gradients, are those of attention to rows that were selected
// before, also if another part's backward pass waits for this one's.
func TestAttentionToSelectedRows(t *testing.T) {
	b := backends.ForTest(t)
	q := tensors.FromFlatDataAndDimensions(ramp(3*2*4*4, 0.1), 3, 2, 4, 4)
	k := tensors.FromFlatDataAndDimensions(ramp(2*2*5*4, -0.07), 2, 2, 5, 4)
	v := tensors.FromFlatDataAndDimensions(ramp(2*2*5*4, 0.3), 2, 2, 5, 4)
	rows := tensors.FromFlatDataAndDimensions([]int32{1, 0, 1}, 3)
	run := func(attend func(q, k, v, rows *Node) *Node) []*tensors.Tensor {
		return MustExecOnceN(b, func(q, k, v, rows *Node) []*Node {
			out := attend(q, k, v, rows)
			loss := ReduceAllSum(Mul(out, Sin(out)))
			return append(Gradient(loss, q, k, v), out)
		}, q, k, v, rows)
	}
	want := run(func(q, k, v, rows *Node) *Node {
		at := InsertAxes(rows, -1)
		return Add(layers.Attention(q, Gather(k, at), Gather(v, at), layers.AttentionOptions{}), q)
	})
	got := run(func(q, k, v, rows *Node) *Node {
		var turn layers.Turn
		other := turn.Precedes(q)
		return Add(layers.Attention(turn.Ends(q), k, v, layers.AttentionOptions{Rows: rows}), other)
	})
	for i, name := range []string{"q's gradient", "k's gradient", "v's gradient", "output"} {
		t.Run(name, func(t *testing.T) {
			near(t, tensors.MustCopyFlatData[float32](got[i]), tensors.MustCopyFlatData[float32](want[i]), 1e-6)
		})
	}
}

func TestHeadsSplitAndMergeRoundTrip(t *testing.T) {
	x := tensors.FromFlatDataAndDimensions(ramp(2*3*8, 1), 2, 3, 8)
	got := MustExecOnce(backend(t), func(x *Node) *Node { return layers.MergeHeads(layers.SplitHeads(x, 4)) }, x)
	near(t, tensors.MustCopyFlatData[float32](got), tensors.MustCopyFlatData[float32](x), 0)
}

func TestDropoutIsAFunctionOfItsKey(t *testing.T) {
	drop := func(seed int64) []float32 {
		state, err := RNGStateFromSeed(seed)
		if err != nil {
			t.Fatal(err)
		}
		return tensors.MustCopyFlatData[float32](MustExecOnce(backend(t), func(x, s *Node) *Node {
			return layers.Dropout(x, 0.25, layers.NewRNG(s))
		}, tensors.FromFlatDataAndDimensions(ones(4096), 4096), state))
	}
	a, b, c := drop(1), drop(1), drop(2)
	near(t, b, a, 0)
	same, kept := 0, 0
	for i := range a {
		if a[i] == c[i] {
			same++
		}
		if a[i] != 0 {
			kept++
			near(t, a[i:i+1], []float32{4. / 3}, 1e-6)
		}
	}
	if same == len(a) {
		t.Error("another key gives the same mask")
	}
	if kept < 2900 || kept > 3250 { // 3072 expected, 6 standard deviations
		t.Errorf("kept %d of 4096 at rate 0.25", kept)
	}
}

func mustVar(t *testing.T, s *model.Store, name string, value any) {
	t.Helper()
	if _, err := s.CreateVariable(layers.VariablePath(name), tensors.MustFromAnyValue(value)); err != nil {
		t.Fatal(err)
	}
}

func ramp(n int, step float32) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i%7) * step
	}
	return v
}

func ones(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return v
}
