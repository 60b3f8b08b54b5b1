package memory

import (
	"math"
	"testing"

	"github.com/modular-bridging/bridge/qformer"
)

// base returns a run of `make bench-torch`'s rows of training: a Q-Former of BERT-base's width on given
// features of ViT-L/14 in float32, batch 8, texts of 32 tokens and, in stage 2, OPT-125M.
func base(stage int) Run {
	c := qformer.Base()
	c.EncoderWidth, c.LanguageWidth = 1024, 768
	r := Run{Stage: stage, QFormer: c, Trained: int64(qformer.Count(c.Parameters(qformer.Stage(stage)))),
		Pictures: 8, Text: 32, Tokens: 257, FeatureNumber: 4}
	if stage == 2 {
		r.Language = &Frozen{ID: "opt-125m", Parameters: 125_239_296, Number: 4, Width: 768, Layers: 12, FeedForward: 3072, Heads: 12, Vocabulary: 50272}
	}
	return r
}

// loss returns a run with nothing but a language model's losses and gradients, of a row of `make bench-torch`.
func loss(f Frozen, pictures int) Run {
	r := base(2)
	r.Pictures, r.Language = pictures, &f
	return r
}

// encode returns a run whose second process only encodes pictures.
func encode(f Frozen) Run {
	r := base(1)
	r.Vision = &f
	return r
}

func TestFrozenModelsOfBaseSize(t *testing.T) {
	for name, c := range map[string]struct {
		run      Run
		measured float64 // bytes, from docs/benchmarks.md and docs/models.md: the peak of a process with XLA; Llama before gradients were computed in parts
	}{
		"opt-loss": {loss(Frozen{Parameters: 125_239_296, Number: 4, Width: 768, Layers: 12, FeedForward: 3072, Heads: 12, Vocabulary: 50272}, 8), 1.00e9},
		"t5-loss": {loss(Frozen{Parameters: 247_577_856, Number: 4, Width: 768, Layers: 24, FeedForward: 4096, Heads: 12, Vocabulary: 32128,
			Decodes: true}, 8), 1.51e9},
		"encode":     {encode(Frozen{Parameters: 303_179_776, Number: 4, Width: 1024, Layers: 24, FeedForward: 4096, Heads: 16}), 1.53e9},
		"llama-loss": {loss(Frozen{Parameters: 1_038_682_112, Number: 4, Width: 2048, Layers: 16, FeedForward: 16384, Heads: 32, Vocabulary: 32000}, 4), 5.48e9},
	} {
		got := float64(c.run.Processes()[1].Peak())
		if math.Abs(got/c.measured-1) > Tolerance {
			t.Errorf("%s is estimated at %.0f MB, it took %.0f", name, got/1e6, c.measured/1e6)
		}
		t.Logf("%s: %.0f MB, measured %.0f (%+.0f %%)", name, got/1e6, c.measured/1e6, 100*(got/c.measured-1))
	}
}

// The peaks were measured on two cores with XLA for the CPU, on 2026-12-01, by the program of
// `make bench-torch`, after two steps or, in stage 2, three.
func TestStepsOfBaseSize(t *testing.T) {
	const mib = 1 << 20
	checkpointed := base(1)
	checkpointed.Checkpointing = true
	for name, c := range map[string]struct {
		run      Run
		measured []float64 // MiB
	}{
		"stage 1":                    {base(1), []float64{5561}},
		"stage 1 with checkpointing": {checkpointed, []float64{4408}},
		"stage 2: bridge, OPT":       {base(2), []float64{2419, 982}},
	} {
		all := c.run.Processes()
		if len(all) != len(c.measured) {
			t.Fatalf("%s: %d processes, want %d", name, len(all), len(c.measured))
		}
		for i, p := range all {
			got := float64(p.Peak()) / mib
			if math.Abs(got/c.measured[i]-1) > Tolerance {
				t.Errorf("%s: process %s is estimated at %.0f MiB, it took %.0f: %+v", name, p.Name, got, c.measured[i], p.Parts)
			}
			t.Logf("%s: %s %.0f MiB, measured %.0f (%+.0f %%)", name, p.Name, got, c.measured[i], 100*(got/c.measured[i]-1))
		}
	}
}

func TestMoreWorkTakesMore(t *testing.T) {
	for stage := 1; stage <= 2; stage++ {
		peak := func(change func(*Run)) int64 {
			r := base(stage)
			change(&r)
			return r.Processes()[0].Peak()
		}
		as := peak(func(*Run) {})
		for name, change := range map[string]func(*Run){
			"a larger batch":      func(r *Run) { r.Pictures = 64 },
			"an evaluation":       func(r *Run) { r.Evaluated = 2000 },
			"accumulation":        func(r *Run) { r.Accumulate = true },
			"larger pictures":     func(r *Run) { r.Tokens = 1025 },
			"bfloat16 on the CPU": func(r *Run) { r.Narrow = true },
		} {
			if got := peak(change); got <= as {
				t.Errorf("stage %d with %s takes %d, without %d", stage, name, got, as)
			}
		}
	}
	short, long := base(1), base(1)
	short.Text = 8
	if s, l := short.Processes()[0].Peak(), long.Processes()[0].Peak(); s >= l {
		t.Errorf("texts of 8 tokens take %d, of 32 tokens %d", s, l)
	}
}

// A language model computes large batches in parts, and so does not grow with them. A CPU's parts are smaller.
func TestLargeBatchesInTheLanguageModel(t *testing.T) {
	for name, c := range map[string]struct {
		gpu                 bool
		small, most, beyond int // pictures; at most so many are computed at once
	}{
		"a CPU": {false, 2, 4, 64},
		"a GPU": {true, 8, 64, 1024},
	} {
		peak := func(pictures int) int64 {
			r := base(2)
			r.OnGPU, r.Pictures = c.gpu, pictures
			return r.Processes()[1].Peak()
		}
		if small, most := peak(c.small), peak(c.most); small >= most {
			t.Errorf("%s: %d examples take %d, %d take %d", name, c.small, small, c.most, most)
		}
		if most, beyond := peak(c.most), peak(c.beyond); most != beyond {
			t.Errorf("%s: %d examples take %d, %d take %d", name, c.most, most, c.beyond, beyond)
		}
	}
}

// The sizes are those that BenchmarkStep2 of package qformer reports (docs/benchmarks.md).
func TestResiduals(t *testing.T) {
	const measured = 220e6
	r := base(2)
	if got := 4 * float64(r.Pictures) * float64(r.residuals()); math.Abs(got/measured-1) > 0.02 {
		t.Errorf("residuals of base size take %.1f MB, want %.0f", got/1e6, measured/1e6)
	}
	for name, change := range map[string]func(*Run){
		"stage 1":       func(r *Run) { r.Stage = 1 },
		"checkpointing": func(r *Run) { r.Checkpointing = true },
		"accumulation":  func(r *Run) { r.Accumulate = true },
	} {
		r := base(2)
		if change(&r); r.keepsResiduals() {
			t.Errorf("a step with %s keeps residuals", name)
		}
	}
}

func TestModelsInBridgesProcess(t *testing.T) {
	apart := base(2)
	apart.Vision = &Frozen{ID: "vit", Parameters: 300e6, Number: 4, Width: 1024, Layers: 24, FeedForward: 4096, Heads: 16}
	vision, language := *apart.Vision, *apart.Language
	vision.Inside, language.Inside = true, true
	one := apart
	one.Vision, one.Language = &vision, &language
	together := one.Processes()
	if len(together) != 1 || len(apart.Processes()) != 3 {
		t.Fatalf("%d and %d processes", len(together), len(apart.Processes()))
	}
	var certain int64
	for _, p := range apart.Processes() {
		certain += p.Certain()
	}
	if got := together[0]; got.Certain() != certain || got.Peak() >= Total(apart.Processes()) {
		t.Errorf("one process: %+v; three: %+v", got, apart.Processes())
	}
}

func TestWhatIsNotKnown(t *testing.T) {
	r := base(2)
	r.Language.Foreign = true
	if p := r.Processes()[1]; p.Known || p.Peak() != 0 {
		t.Errorf("a plugin: %+v", p)
	}
	r = base(2)
	r.Language.Layers = 0
	if p := r.Processes()[1]; p.Known || p.Certain() != 4*125_239_296 {
		t.Errorf("a model without sizes: %+v", p)
	}
	r.Language.Example = 10 << 20
	if p := r.Processes()[1]; !p.Known || p.Peak() < 4*125_239_296+80<<20 {
		t.Errorf("a model whose manifest has the memory of an example: %+v", p)
	}
}
