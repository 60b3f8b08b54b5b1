package qformer_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
)

func TestMasks(t *testing.T) {
	text := [][]bool{{true, true, true}, {true, true, false}}
	for _, c := range []struct {
		name string
		mask func(*Node) *Node
		want any
	}{
		{"unimodal", qformer.UnimodalMask, [][][][]bool{{{{true, true, true}}}, {{{true, true, false}}}}},
		{
			"bidirectional", func(x *Node) *Node { return qformer.BidirectionalMask(x, 2) },
			[][][][]bool{{{{true, true, true, true, true}}}, {{{true, true, true, true, false}}}},
		},
		{
			"multimodal causal", func(x *Node) *Node { return qformer.CausalMask(x, 2) },
			[][][][]bool{
				{{{true, true, true, false, false}, {true, true, true, true, false}, {true, true, true, true, true}}},
				{{{true, true, true, false, false}, {true, true, true, true, false}, {true, true, true, true, false}}},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := MustExecOnce(backends.ForTest(t), c.mask, text).Value()
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestInit(t *testing.T) {
	cfg := tiny()
	params := cfg.Parameters(qformer.Stage1)
	first, again, other := values(t, cfg, params, 1), values(t, cfg, params, 1), values(t, cfg, params, 2)
	if !reflect.DeepEqual(first, again) {
		t.Error("one seed gives two sets of weights")
	}
	if reflect.DeepEqual(first["query_tokens"], other["query_tokens"]) {
		t.Error("two seeds give the same query tokens")
	}
	layer := "qformer.encoder.layer.1."
	if !slices.Equal(first[layer+"intermediate.dense.weight"], first[layer+"intermediate_query.dense.weight"]) ||
		!slices.Equal(first[layer+"output.dense.weight"], first[layer+"output_query.dense.weight"]) {
		t.Error("the queries' feed-forward block is not the text's")
	}
	if slices.Equal(first[layer+"attention.attention.key.weight"], first[layer+"attention.attention.query.weight"]) {
		t.Error("keys and queries start with the same weights")
	}
	for name, want := range map[string]float32{
		"temp": 0.07, "itm_head.bias": 0, layer + "output.LayerNorm.weight": 1, layer + "output.LayerNorm.bias": 0,
	} {
		for _, v := range first[name] {
			if v != want {
				t.Errorf("%s holds %v, want %v", name, v, want)
			}
		}
	}
	words := first["embeddings.word_embeddings.weight"]
	sum := 0.0
	for _, v := range words {
		sum += float64(v) * float64(v)
	}
	// 1600 draws: the standard deviation is known to 1.8 %, 6 of those allowed.
	if std := math.Sqrt(sum / float64(len(words))); math.Abs(std/cfg.InitStd-1) > 0.11 {
		t.Errorf("word embeddings have standard deviation %v, want about %v", std, cfg.InitStd)
	}
}

func TestInitRenewsOnePart(t *testing.T) {
	cfg := tiny()
	store := model.NewStore()
	params := cfg.Parameters(qformer.Stage2)
	if err := qformer.Init(store, cfg, params, 1); err != nil {
		t.Fatal(err)
	}
	before := read(t, store, params)
	cfg.EncoderWidth += 4
	renewed := slices.DeleteFunc(cfg.Parameters(qformer.Stage2), func(p qformer.Param) bool { return p.Part != qformer.PartEncoder })
	for _, p := range renewed {
		if err := store.DeleteVariable(qformer.VariablePath(p.Name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := qformer.Init(store, cfg, renewed, 2); err != nil {
		t.Fatal(err)
	}
	after := read(t, store, cfg.Parameters(qformer.Stage2))
	for _, p := range params {
		if p.Part != qformer.PartEncoder && !slices.Equal(before[p.Name], after[p.Name]) {
			t.Errorf("%s changed", p.Name)
		}
	}
	if n := len(after["vision_model.post_layernorm.weight"]); n != cfg.EncoderWidth {
		t.Errorf("the norm on the features has %d elements, want %d", n, cfg.EncoderWidth)
	}
}

func TestDropoutIsReproducibleAndKeepsTheMean(t *testing.T) {
	cfg := tiny()
	cfg.Dropout = 0.1
	params := cfg.Parameters(qformer.Stage2)
	store := model.NewStore()
	if err := qformer.Init(store, cfg, params, 3); err != nil {
		t.Fatal(err)
	}
	exec := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, features, state *Node) *Node {
		return qformer.New(cfg, store, features.Graph(), qformer.NewRNG(state)).Queries(features)
	})
	off := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, features *Node) *Node {
		return qformer.New(cfg, store, features.Graph(), nil).Queries(features)
	})
	const batch = 256
	features := tensors.FromFlatDataAndDimensions(make([]float32, batch*3*cfg.EncoderWidth), batch, 3, cfg.EncoderWidth)
	run := func(seed int64) []float32 {
		state, err := RNGStateFromSeed(seed)
		if err != nil {
			t.Fatal(err)
		}
		return tensors.MustCopyFlatData[float32](exec.MustCall(features, state)[0])
	}
	first, again, other := run(1), run(1), run(2)
	if !slices.Equal(first, again) {
		t.Error("one key gives two results")
	}
	if slices.Equal(first, other) {
		t.Error("two keys give the same result")
	}
	plain := tensors.MustCopyFlatData[float32](off.MustCall(features)[0])
	n := len(plain) / batch
	for i := range n {
		mean := 0.0
		for b := range batch {
			mean += float64(first[b*n+i]) / batch
		}
		// Outputs have unit variance; dropout moves one by about a half.
		if math.Abs(mean-float64(plain[i])) > 0.3 {
			t.Errorf("element %d has mean %.3f with dropout and is %.3f without", i, mean, plain[i])
		}
	}
}

func TestTextDoesNotSeePadding(t *testing.T) {
	cfg := tiny()
	store := model.NewStore()
	if err := qformer.Init(store, cfg, cfg.Parameters(qformer.Stage1), 4); err != nil {
		t.Fatal(err)
	}
	exec := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) []*Node {
		m := qformer.New(cfg, store, in[0].Graph(), nil)
		v := m.ImageKV(in[0])
		return []*Node{m.Text(in[1], in[2]), m.RunWithText(v, in[1], in[2])}
	})
	features := tensors.FromFlatDataAndDimensions(make([]float32, 2*cfg.EncoderWidth), 1, 2, cfg.EncoderWidth)
	short := exec.MustCall(features, [][]int32{{1, 5, 2}}, [][]bool{{true, true, true}})
	padded := exec.MustCall(features, [][]int32{{1, 5, 2, 9, 0}}, [][]bool{{true, true, true, false, false}})
	for i := range short {
		a, b := tensors.MustCopyFlatData[float32](short[i]), tensors.MustCopyFlatData[float32](padded[i])
		for j := range a {
			if math.Abs(float64(a[j]-b[j])) > 1e-5 {
				t.Errorf("output %d, element %d: %v alone, %v with padding", i, j, a[j], b[j])
			}
		}
	}
}

// Features are frozen, so no product of a backward pass has their shape. The gradients of the norm's
// weights, which are trained, do not need one.
func TestNoGradientByFeatures(t *testing.T) {
	cfg := tiny()
	store := model.NewStore()
	params := cfg.Parameters(qformer.Stage2)
	if err := qformer.Init(store, cfg, params, 7); err != nil {
		t.Fatal(err)
	}
	products := 0
	exec := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, features *Node) []*Node {
		m := qformer.New(cfg, store, features.Graph(), nil)
		gradients := m.Gradients(ReduceAllSum(m.Prompts(features)), params)
		products = countProducts(gradients, features.Shape().Size())
		return gradients
	})
	for i, gradient := range exec.MustCall(ramp(2, 7, cfg.EncoderWidth)) {
		if name := params[i].Name; strings.HasPrefix(name, "vision_model.") &&
			!slices.ContainsFunc(tensors.MustCopyFlatData[float32](gradient), func(g float32) bool { return g != 0 }) {
			t.Errorf("%s gets no gradient", name)
		}
	}
	if products != 0 {
		t.Errorf("the backward pass computes %d products of the features' size", products)
	}
}

// countProducts returns the number of matrix products with some number of elements that nodes need.
func countProducts(nodes []*Node, size int) (n int) {
	for seen := map[*Node]bool{}; len(nodes) > 0; {
		node := nodes[len(nodes)-1]
		nodes = nodes[:len(nodes)-1]
		if seen[node] {
			continue
		}
		seen[node] = true
		if node.Type() == NodeTypeDotGeneral && node.Shape().Size() == size {
			n++
		}
		nodes = append(nodes, node.Inputs()...)
	}
	return n
}

// In bfloat16 soft prompts are near those in float32, and still float32 themselves.
func TestWithDType(t *testing.T) {
	cfg := tiny()
	store := model.NewStore()
	if err := qformer.Init(store, cfg, cfg.Parameters(qformer.Stage2), 5); err != nil {
		t.Fatal(err)
	}
	exec := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, features *Node) []*Node {
		m := qformer.New(cfg, store, features.Graph(), nil)
		return []*Node{m.Prompts(features), m.WithDType(dtypes.BFloat16).Prompts(features)}
	})
	values := make([]float32, 2*3*cfg.EncoderWidth)
	for i := range values {
		values[i] = float32(i%5) - 2
	}
	out := exec.MustCall(tensors.FromFlatDataAndDimensions(values, 2, 3, cfg.EncoderWidth))
	exact, rough := tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1])
	if slices.Equal(exact, rough) {
		t.Error("bfloat16 changes nothing")
	}
	for i := range exact {
		if math.Abs(float64(exact[i]-rough[i])) > 0.01 {
			t.Errorf("element %d is %v in bfloat16, %v in float32", i, rough[i], exact[i])
		}
	}
}

func tiny() qformer.Config {
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = 16, 2, 2, 24, 3
	c.EncoderWidth, c.LanguageWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim = 12, 20, 100, 8, 6
	return c
}

func values(t *testing.T, cfg qformer.Config, params []qformer.Param, seed uint64) map[string][]float32 {
	t.Helper()
	store := model.NewStore()
	if err := qformer.Init(store, cfg, params, seed); err != nil {
		t.Fatal(err)
	}
	return read(t, store, params)
}

func read(t *testing.T, store *model.Store, params []qformer.Param) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{}
	for _, p := range params {
		v := store.GetVariable(qformer.VariablePath(p.Name))
		if v == nil {
			t.Fatalf("the store has no %s", p.Name)
		}
		if !slices.Equal(v.Shape().Dimensions, p.Shape) {
			t.Fatalf("%s has shape %v, want %v", p.Name, v.Shape().Dimensions, p.Shape)
		}
		out[p.Name] = tensors.MustCopyFlatData[float32](v.MustValue())
	}
	return out
}

// Expected values by hand: one query with hidden state [1, 0], scores 2 and 0 after GELU and the
// linear layers, and embeddings [1, 0] and [0, 1]. The residual adds twice the hidden state.
func TestProjectionIntoWords(t *testing.T) {
	cfg := tiny()
	cfg.HiddenSize, cfg.Heads, cfg.Queries, cfg.LanguageWidth, cfg.Words, cfg.Residual = 2, 1, 1, 2, 2, true
	store := model.NewStore()
	if err := qformer.Init(store, cfg, cfg.Parameters(qformer.Stage2), 1); err != nil {
		t.Fatal(err)
	}
	gelu1 := float32(0.5 * (1 + math.Erf(1/math.Sqrt2)))
	for name, v := range map[string]any{
		"word_projection.dense.weight":      [][]float32{{1, 0}, {0, 0}, {0, 0}, {0, 0}},
		"word_projection.dense.bias":        []float32{0, 0, 0, 0},
		"word_projection.scores.weight":     [][]float32{{2 / gelu1, 0, 0, 0}, {0, 0, 0, 0}},
		"word_projection.scores.bias":       []float32{0, 0},
		"word_projection.embeddings.weight": [][]float32{{1, 0}, {0, 1}},
		"language_projection.weight":        [][]float32{{2, 0}, {0, 2}},
	} {
		if err := store.GetVariable(qformer.VariablePath(name)).SetValue(tensors.MustFromAnyValue(v)); err != nil {
			t.Fatal(err)
		}
	}
	exec, err := model.NewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) []*Node {
		return []*Node{qformer.New(cfg, store, in[0].Graph(), nil).Project(in[0])}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	out, err := exec.Call([][][]float32{{{1, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	got := out[0].Value().([][][]float32)[0][0]
	first := math.Exp(2) / (math.Exp(2) + 1)
	if math.Abs(float64(got[0])-(first+2)) > 1e-5 || math.Abs(float64(got[1])-(1-first)) > 1e-5 {
		t.Errorf("got %v, want [%g %g]", got, first+2, 1-first)
	}
}
