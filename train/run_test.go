package train_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/gomlx/compute"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// stand is what the tests train on: the kit's encoder and language model, a few
// of its scenes, and a Q-Former that is smaller still.
type stand struct {
	backend     compute.Backend
	vision      adapters.VisionEncoder
	language    adapters.LanguageModel
	train, held train.Set
	dropout     float64
}

func models(name string) string { return filepath.Join("..", "kit", "models", name) }

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{backend: backends.ForTest(t), dropout: 0.1}
	var err error
	layer := -1
	if s.vision, err = vit.Family().OpenVision(t.Context(), &adapters.LoadRequest{Checkpoint: models("tiny-vit"), Backend: "go", FeatureLayer: &layer}); err != nil {
		t.Fatal(err)
	}
	if s.language, err = opt.Family().OpenLanguage(t.Context(), &adapters.LoadRequest{Checkpoint: models("tiny-opt"), Backend: "go"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.vision.Close(); s.language.Close() })
	dir := t.TempDir()
	s.train, s.held = s.open(t, dir, "train", 48), s.open(t, dir, "held-out", 8)
	return s
}

func (s *stand) open(t *testing.T, dir, split string, n int) train.Set {
	t.Helper()
	d, err := data.OpenKit(kitSplit(split), n, s.vision.Spec().Image)
	if err != nil {
		t.Fatal(err)
	}
	c, err := featurecache.Open(dir, s.vision, d, featurecache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return train.Set{Data: d, Features: c}
}

// stage1 returns a random bridge, the same each time.
func (s *stand) stage1(t *testing.T) *bridge.Bridge {
	t.Helper()
	words, err := bridge.OpenWords(t.Context(), filepath.Join(models("qformer-tokenizer"), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = 32, 2, 2, 64, 4
	c.EncoderWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim = s.vision.Spec().Width, words.Vocabulary(), 32, 16
	c.InitStd, c.Dropout = 0.1, s.dropout
	b, err := bridge.New(s.backend, c, words, 1)
	if err != nil {
		t.Fatal(err)
	}
	b.Info.Vision = bridge.VisionSide(s.vision.Spec())
	t.Cleanup(b.Close)
	return b
}

func (s *stand) stage2(t *testing.T) *bridge.Bridge {
	t.Helper()
	b, err := s.stage1(t).ForLanguage(s.language.Spec(), prompts(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func prompts() bridge.Prompts {
	return bridge.Prompts{Caption: "a photo of", Question: "Question: {} Answer:", TargetPrefix: " "}
}

func generativePlan(steps int) train.Plan {
	return train.Plan{
		Seed: 7, Templates: prompts(), CheckpointEvery: 2,
		Evaluation: train.Evaluation{Examples: 4, Captions: 2},
		Phases: []train.Phase{
			{Name: "projector-warmup", Objective: objective.PromptCaption(), Train: []train.Module{train.Projection}, Batch: 8, CachedQueries: 16,
				Schedule:  optim.Schedule{Steps: 2},
				Optimizer: optimizer(map[train.Module]float64{train.Projection: 1e-3})},
			{Name: "stage-2", Objective: objective.PromptCaption(), Train: []train.Module{train.QFormer, train.Projection}, Batch: 8,
				Schedule: optim.Schedule{Steps: steps, Warmup: 1}, Mix: objective.Mix{Questions: 0.3},
				Optimizer: optimizer(map[train.Module]float64{train.QFormer: 1e-3, train.Projection: 2e-3})},
		},
	}
}

func optimizer(rates map[train.Module]float64) train.Optimizer {
	return train.Optimizer{LearningRate: rates, Config: optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, WeightDecay: 0.05, ClipNorm: 1}}
}

// session joins the stand with a bridge and a run folder.
func (s *stand) session(t *testing.T, b *bridge.Bridge, plan train.Plan, dir string) *train.Session {
	t.Helper()
	w, err := metrics.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &train.Session{
		Plan: plan, Bridge: b, Language: s.language, Train: s.train, Eval: s.held, Dir: dir,
		Metrics: w, Progress: metrics.Silent(), Log: slog.New(slog.DiscardHandler),
	}
}

// weights reads the bridge that a run ended with.
func weightsOf(t *testing.T, dir string) map[string]*adapters.Tensor {
	t.Helper()
	found, _, err := weights.ReadFile(filepath.Join(train.BridgeDir(dir), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sameBits(t *testing.T, got, want map[string]*adapters.Tensor) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d weights, want %d", len(got), len(want))
	}
	for name, w := range want {
		if string(got[name].Data) != string(w.Data) {
			t.Errorf("%s differs", name)
		}
	}
}

// stopping ends a run's context after some calls of the language model.
type stopping struct {
	adapters.LanguageModel
	left int
	stop context.CancelFunc
}

func (s *stopping) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if s.left--; s.left < 0 {
		s.stop()
		return nil, ctx.Err()
	}
	return s.LanguageModel.Loss(ctx, req)
}

func TestResumedRunGivesTheSameBits(t *testing.T) {
	s := newStand(t)
	whole := t.TempDir()
	if _, err := s.session(t, s.stage2(t), generativePlan(5), whole).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, calls := range []int{1, 3, 4, 6} { // in the warm-up, after a stage, between checkpoints
		dir := t.TempDir()
		first := s.session(t, s.stage2(t), generativePlan(5), dir)
		ctx, stop := context.WithCancel(t.Context())
		first.Language = &stopping{LanguageModel: s.language, left: calls, stop: stop}
		if _, err := first.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after %d calls: %v", calls, err)
		}
		again := s.session(t, s.stage2(t), generativePlan(5), dir)
		again.Resume = true
		result, err := again.Run(t.Context())
		if err != nil {
			t.Fatalf("resumed after %d calls: %v", calls, err)
		}
		if result.Steps != 7 {
			t.Errorf("resumed after %d calls: %d steps, want 7", calls, result.Steps)
		}
		sameBits(t, weightsOf(t, dir), weightsOf(t, whole))
	}
}

// A run that has ended is evaluated once more where it is resumed, and its figures
// stand once.
func TestResumingWhatHasEndedRepeatsNoFigure(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	var figures [2]string
	for i := range figures {
		session := s.session(t, s.stage2(t), generativePlan(5), dir)
		session.Resume = i > 0
		if _, err := session.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, metrics.File))
		if err != nil {
			t.Fatal(err)
		}
		figures[i] = regexp.MustCompile(`"seconds":[0-9.]+`).ReplaceAllString(string(data), "")
	}
	if figures[0] != figures[1] {
		t.Errorf("figures of the run\n%sresumed\n%s", figures[0], figures[1])
	}
}

func TestResumeRefusesOtherSettings(t *testing.T) {
	s := newStand(t)
	dir := t.TempDir()
	if _, err := s.session(t, s.stage2(t), generativePlan(2), dir).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.session(t, s.stage2(t), generativePlan(2), dir).Run(t.Context()); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("begun anew over checkpoints: %v, want an error of kind invalid", err)
	}
	other := s.session(t, s.stage2(t), generativePlan(3), dir)
	other.Resume = true
	if _, err := other.Run(t.Context()); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("got %v, want an error of kind invalid", err)
	}
}

func TestStagesLowerTheirLosses(t *testing.T) {
	s := newStand(t)
	first := func(dir, key string) (head, tail float64) {
		values := readMetric(t, dir, key)
		n := len(values) / 4
		return mean(values[:n]), mean(values[len(values)-n:])
	}
	t.Run("stage 1", func(t *testing.T) {
		dir := t.TempDir()
		plan := train.Plan{Seed: 3, Evaluation: train.Evaluation{Examples: 8}, Phases: []train.Phase{{
			Name: "stage-1", Objective: objective.Representation(), Train: []train.Module{train.QFormer}, Batch: 16,
			Schedule: optim.Schedule{Steps: 24, Warmup: 2}, Mix: objective.Mix{Similar: 0.5},
			Optimizer: optimizer(map[train.Module]float64{train.QFormer: 3e-3}),
		}}}
		result, err := s.session(t, s.stage1(t), plan, dir).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if result.Final.Retrieval == nil {
			t.Error("no retrieval was measured")
		}
		for _, part := range []string{"loss", "itc", "itg"} {
			if head, tail := first(dir, "stage-1/"+part); !(tail < head) {
				t.Errorf("%s went from %.3f to %.3f", part, head, tail)
			}
		}
	})
	t.Run("stage 2", func(t *testing.T) {
		dir := t.TempDir()
		result, err := s.session(t, s.stage2(t), generativePlan(24), dir).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if g := result.Final.Grounding; g == nil || g.Right <= 0 || g.None <= 0 {
			t.Errorf("grounding %+v", g)
		}
		if head, tail := first(dir, "stage-2/loss"); !(tail < head) {
			t.Errorf("loss went from %.3f to %.3f", head, tail)
		}
	})
}

func TestWarmupTrainsTheProjectionAlone(t *testing.T) {
	s := newStand(t)
	plan := generativePlan(1)
	plan.Phases = plan.Phases[:1]
	b, dir := s.stage2(t), t.TempDir()
	before := t.TempDir()
	if err := b.Save(before, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	old, _, err := weights.ReadFile(filepath.Join(before, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.session(t, b, plan, dir).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, w := range weightsOf(t, dir) {
		changed := string(w.Data) != string(old[name].Data)
		if projection := name == "language_projection.weight" || name == "language_projection.bias"; changed != projection {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
}

func TestFailedStepAppliesNothing(t *testing.T) {
	s := newStand(t)
	plan := generativePlan(3)
	plan.Phases, plan.CheckpointEvery = plan.Phases[1:], 1
	dir := t.TempDir()
	session := s.session(t, s.stage2(t), plan, dir)
	broken := errors.New("the plugin is gone")
	session.Language = &failing{LanguageModel: s.language, left: 1, err: broken}
	if _, err := session.Run(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoints", "step-000001")); err != nil {
		t.Errorf("the checkpoint before the failure: %v", err)
	}
	again := s.session(t, s.stage2(t), plan, dir)
	again.Resume = true
	if _, err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := t.TempDir()
	if _, err := s.session(t, s.stage2(t), plan, whole).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameBits(t, weightsOf(t, dir), weightsOf(t, whole))
}

type failing struct {
	adapters.LanguageModel
	left int
	err  error
}

func (f *failing) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if f.left--; f.left < 0 {
		return nil, f.err
	}
	return f.LanguageModel.Loss(ctx, req)
}
