package objective_test

import (
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/qformer/objective"
)

// small is a Q-Former for small frozen models.
func small() qformer.Config {
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = 160, 5, 5, 640, 12
	c.EncoderWidth, c.LanguageWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim = 128, 192, 1200, 64, 64
	return c
}

// BenchmarkStage1 runs a step of stage 1 without the optimizer: 64 pictures of
// 65 patches with texts of 20 tokens; losses and all gradients.
func BenchmarkStage1(b *testing.B) {
	for _, c := range []struct {
		name    string
		dropout float64
	}{{"plain", 0}, {"dropout", 0.1}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := small()
			cfg.Dropout = c.dropout
			step, inputs := stage1Step(b, cfg, 64, false)
			for b.Loop() {
				out, err := step.Exec(inputs...)
				if err != nil {
					b.Fatal(err)
				}
				finalize(out)
			}
		})
	}
}

// BenchmarkStage2 runs the Q-Former's part of a step of stage 2: soft prompts,
// then their vector-Jacobian product.
func BenchmarkStage2(b *testing.B) {
	cfg := small()
	cfg.Dropout = 0
	params := cfg.Parameters(qformer.Stage2)
	store := fresh(b, cfg, params)
	step := model.MustNewExec(backends.ForTest(b), store, func(_ *model.Scope, in []*Node) []*Node {
		m := qformer.New(cfg, store, in[0].Graph(), qformer.NewRNG(in[2]))
		return m.Gradients(qformer.WithCotangent(m.Prompts(in[0]), in[1]), params)
	})
	inputs := []any{ramp(64, 65, cfg.EncoderWidth), ramp(64, cfg.Queries, cfg.LanguageWidth), state(b, 1)}
	for b.Loop() {
		out, err := step.Exec(inputs...)
		if err != nil {
			b.Fatal(err)
		}
		finalize(out)
	}
}

// stage1Step compiles a step and returns it with inputs.
func stage1Step(t testing.TB, cfg qformer.Config, batch int, checkpointing bool) (*model.Exec, []any) {
	params := cfg.Parameters(qformer.Stage1)
	store := fresh(t, cfg, params)
	step := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) []*Node {
		rng := qformer.NewRNG(in[3])
		m := qformer.New(cfg, store, in[0].Graph(), rng).Checkpointing(checkpointing)
		o := objective.BLIP2()
		o.Begin = cfg.Vocabulary - 1
		b := objective.Batch{Features: in[0], IDs: in[1], Visible: in[2]}
		l := objective.Stage1(m, o, b, rng)
		return append([]*Node{l.Total, l.ITC, l.ITM, l.ITG}, m.Gradients(l.Total, params)...)
	})
	const tokens = 20
	ids, visible := make([]int32, batch*tokens), make([]bool, batch*tokens)
	for i := range ids {
		if i%tokens < 6+i/tokens%14 {
			ids[i], visible[i] = int32(1+i*7%(cfg.Vocabulary-2)), true
		}
	}
	inputs := []any{
		ramp(batch, 65, cfg.EncoderWidth),
		tensors.FromFlatDataAndDimensions(ids, batch, tokens),
		tensors.FromFlatDataAndDimensions(visible, batch, tokens),
		state(t, 1),
	}
	out, err := step.Exec(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	finalize(out)
	return step, inputs
}

func fresh(t testing.TB, cfg qformer.Config, params []qformer.Param) *model.Store {
	t.Helper()
	store := model.NewStore()
	if err := qformer.Init(store, cfg, params, 1); err != nil {
		t.Fatal(err)
	}
	return store
}

// state is a key of random numbers.
func state(t testing.TB, seed int64) *tensors.Tensor {
	t.Helper()
	s, err := RNGStateFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ramp is a float32 tensor of varied values between −1 and 1.
func ramp(dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i*7919%2003)/1001 - 1
	}
	return tensors.FromFlatDataAndDimensions(values, dims...)
}

func finalize(out []*tensors.Tensor) {
	for _, t := range out {
		t.FinalizeAll()
	}
}
