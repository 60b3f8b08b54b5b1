package qformer_test

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/qformer"
)

// step2 has the Q-Former's graphs of a step of stage 2.
type step2 struct {
	forward *model.Exec // features, random state → soft prompts, residuals
	kept    *model.Exec // features, random state, cotangent, residuals → gradients
	again   *model.Exec // features, random state, cotangent → gradients

	features, state, cotangent *tensors.Tensor
}

func newStep2(t testing.TB, cfg qformer.Config, dtype dtypes.DType, batch, patches int) *step2 {
	t.Helper()
	params, store := cfg.Parameters(qformer.Stage2), model.NewStore()
	if err := qformer.Init(store, cfg, params, 6); err != nil {
		t.Fatal(err)
	}
	exec := func(build func(m *qformer.Model, in []*Node) []*Node) *model.Exec {
		e, err := model.NewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) []*Node {
			return build(qformer.New(cfg, store, in[0].Graph(), qformer.NewRNG(in[1])).WithDType(dtype), in)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Finalize)
		return e
	}
	parameters := func(g *Graph) (all []*Node) {
		for _, p := range params {
			all = append(all, store.GetVariable(qformer.VariablePath(p.Name)).NodeValue(g))
		}
		return all
	}
	s := &step2{features: ramp(batch, patches, cfg.EncoderWidth), cotangent: ramp(batch, cfg.Queries, cfg.LanguageWidth)}
	var err error
	if s.state, err = RNGStateFromSeed(1); err != nil {
		t.Fatal(err)
	}
	s.forward = exec(func(m *qformer.Model, in []*Node) []*Node {
		r := qformer.RecordResiduals()
		return append([]*Node{m.Keeping(r).Prompts(in[0])}, r.Nodes()...)
	})
	s.kept = exec(func(m *qformer.Model, in []*Node) []*Node {
		r := qformer.ReplayResiduals(in[3:])
		return r.Gradient(qformer.WithCotangent(m.Keeping(r).Prompts(in[0]), in[2]), parameters(in[0].Graph())...)
	})
	s.again = exec(func(m *qformer.Model, in []*Node) []*Node {
		return Gradient(qformer.WithCotangent(m.Prompts(in[0]), in[2]), parameters(in[0].Graph())...)
	})
	return s
}

// run runs a graph. The caller frees the results.
func run(t testing.TB, e *model.Exec, in ...*tensors.Tensor) []*tensors.Tensor {
	t.Helper()
	args := make([]any, len(in))
	for i, x := range in {
		args[i] = x
	}
	out, err := e.Call(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *step2) runForward(t testing.TB) []*tensors.Tensor {
	return run(t, s.forward, s.features, s.state)
}

func (s *step2) runKept(t testing.TB, residuals []*tensors.Tensor) []*tensors.Tensor {
	return run(t, s.kept, append([]*tensors.Tensor{s.features, s.state, s.cotangent}, residuals...)...)
}

func (s *step2) runAgain(t testing.TB) []*tensors.Tensor {
	return run(t, s.again, s.features, s.state, s.cotangent)
}

func free(all []*tensors.Tensor) {
	for _, t := range all {
		t.FinalizeAll()
	}
}

func TestGradientsFromResiduals(t *testing.T) {
	words := tiny()
	words.Words, words.Residual = 7, true
	dropout := tiny()
	dropout.Dropout = 0.3
	for _, c := range []struct {
		name      string
		cfg       qformer.Config
		dtype     dtypes.DType
		tolerance float64 // relative to the largest gradient of a parameter
	}{
		{"plain", tiny(), dtypes.Float32, 1e-5},
		{"dropout", dropout, dtypes.Float32, 1e-5},
		{"projection in words", words, dtypes.Float32, 1e-5},
		{"bfloat16", dropout, dtypes.BFloat16, 2e-2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStep2(t, c.cfg, c.dtype, 2, 5)
			kept, again := s.runKept(t, s.runForward(t)[1:]), s.runAgain(t)
			for i, p := range c.cfg.Parameters(qformer.Stage2) {
				got, want := tensors.MustCopyFlatData[float32](kept[i]), tensors.MustCopyFlatData[float32](again[i])
				largest, apart := 0.0, 0.0
				for j := range want {
					largest = max(largest, math.Abs(float64(want[j])))
					apart = max(apart, math.Abs(float64(got[j]-want[j])))
				}
				if !(apart <= c.tolerance*largest+1e-7) {
					t.Errorf("%s: gradients are %g apart, the largest is %g", p.Name, apart, largest)
				}
			}
		})
	}
}

// With other residuals there are other gradients: the backward pass computes nothing of the forward
// pass that could take their place.
func TestBackwardPassReadsResiduals(t *testing.T) {
	cfg := tiny()
	cfg.Dropout = 0.3
	s := newStep2(t, cfg, dtypes.Float32, 2, 5)
	residuals := s.runForward(t)[1:]
	if len(residuals) == 0 {
		t.Fatal("the forward pass keeps nothing")
	}
	before := s.runKept(t, residuals)
	for i, r := range residuals {
		changed := append([]*tensors.Tensor{}, residuals...)
		changed[i] = tensors.FromShape(r.Shape()) // zeros, or nothing that is not dropped
		after, same := s.runKept(t, changed), true
		for j := range after {
			same = same && after[j].Equal(before[j])
		}
		free(after)
		if same {
			t.Errorf("residual %d, %s, makes no difference", i, r.Shape())
		}
	}
}

func TestResidualsMustFit(t *testing.T) {
	s := newStep2(t, tiny(), dtypes.Float32, 2, 5)
	residuals := s.runForward(t)[1:]
	for name, c := range map[string]struct {
		given []*tensors.Tensor
		want  string
	}{
		"one too few":  {residuals[:len(residuals)-1], "keeps more than the"},
		"one too many": {append(residuals[:len(residuals):len(residuals)], residuals[0]), "values and keeps"},
		"another size": {append([]*tensors.Tensor{s.state}, residuals[1:]...), "kept value 0 is given as"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []any{s.features, s.state, s.cotangent}
			for _, r := range c.given {
				args = append(args, r)
			}
			if _, err := s.kept.Call(args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestResidualsDoNotGoWithCheckpointing(t *testing.T) {
	cfg, store := tiny(), model.NewStore()
	if err := qformer.Init(store, cfg, cfg.Parameters(qformer.Stage2), 6); err != nil {
		t.Fatal(err)
	}
	exec, err := model.NewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) []*Node {
		return []*Node{qformer.New(cfg, store, in[0].Graph(), nil).Checkpointing(true).Keeping(qformer.RecordResiduals()).Prompts(in[0])}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	if _, err := exec.Call(ramp(2, 5, cfg.EncoderWidth)); err == nil || !strings.Contains(err.Error(), "keeps no residuals") {
		t.Errorf("error %v, want one that names the two", err)
	}
}

// BenchmarkStep2 measures the Q-Former's part of a step of stage 2 without the optimizer, and reports
// processor time: the forward pass, the backward pass that computes it again, and that from residuals.
func BenchmarkStep2(b *testing.B) {
	kit := qformer.Base()
	kit.HiddenSize, kit.Layers, kit.Heads, kit.Intermediate, kit.Queries = 160, 5, 5, 640, 12
	kit.EncoderWidth, kit.LanguageWidth = 128, 192
	base := qformer.Base()
	base.EncoderWidth = 1024
	base.LanguageWidth = 768
	for _, c := range []struct {
		name           string
		cfg            qformer.Config
		batch, patches int
	}{{"kit", kit, 64, 65}, {"base", base, 8, 257}} {
		b.Run(c.name, func(b *testing.B) {
			c.cfg.Dropout = 0.1
			s := newStep2(b, c.cfg, dtypes.Float32, c.batch, c.patches)
			residuals := s.runForward(b)[1:]
			size := 0.0
			for _, r := range residuals {
				size += float64(r.Shape().ByteSize())
			}
			free(s.runKept(b, residuals)) // compiles
			free(s.runAgain(b))
			b.Run("forward", func(b *testing.B) {
				measure(b, func() { free(s.runForward(b)) })
				b.ReportMetric(size/1e6, "kept-MB")
			})
			b.Run("again", func(b *testing.B) { measure(b, func() { free(s.runAgain(b)) }) })
			b.Run("kept", func(b *testing.B) { measure(b, func() { free(s.runKept(b, residuals)) }) })
		})
	}
}

// measure runs f b.N times and reports the processor time of the process.
func measure(b *testing.B, f func()) {
	processor := func() time.Duration {
		p, err := procfs.Of(os.Getpid())
		if err != nil {
			b.Skip(err)
		}
		return p.CPU
	}
	before := processor()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64((processor()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
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
