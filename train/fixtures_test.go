package train_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// Tests run small bridges between a fake language model and features that no encoder has
// computed. The package's examples and the tests of objectives run the kit's models.

// rowFeatures are features that depend on the row alone.
type rowFeatures struct{}

func (rowFeatures) Features(_ context.Context, rows []int) (*adapters.Tensor, error) {
	t := adapters.NewTensor(adapters.Float32, len(rows), 3, 8)
	for i, row := range rows {
		for j := range t.Row(i).Float32s() {
			t.Row(i).Float32s()[j] = float32((row+1)*(j+3)*7919%211)/105 - 1
		}
	}
	return t, nil
}

// scenes returns the texts of the kit's first n pictures, with features of rows.
func scenes(t *testing.T, split kit.Split, n int) train.Set {
	t.Helper()
	d, err := data.OpenKit(split, n, adapters.ImageSpec{Width: 64, Height: 64})
	if err != nil {
		t.Fatal(err)
	}
	return train.Set{Data: d, Features: rowFeatures{}}
}

// models returns the folder of one of the kit's models.
func models(name string) string { return filepath.Join("..", "kit", "models", name) }

// tiny returns the smallest stage-1 bridge that has every part, the same each time.
func tiny(t *testing.T, dropout float64) *bridge.Bridge {
	t.Helper()
	return tinyOn(t, backends.ForTest(t), dropout)
}

func tinyOn(t *testing.T, backend compute.Backend, dropout float64) *bridge.Bridge {
	t.Helper()
	words, err := bridge.OpenTokenizer(t.Context(), filepath.Join(models("qformer-tokenizer"), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = 16, 1, 2, 16, 2
	c.EncoderWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim = 8, words.Vocabulary(), 32, 8
	c.InitStd, c.Dropout = 0.2, dropout
	b, err := bridge.New(backend, c, words, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// tinyFor returns a tiny stage-2 bridge for a language model.
func tinyFor(t *testing.T, lm adapters.LanguageModel, dropout float64) *bridge.Bridge {
	t.Helper()
	return join(t, tiny(t, dropout), lm)
}

// join joins a stage-1 bridge with a language model.
func join(t *testing.T, first *bridge.Bridge, lm adapters.LanguageModel) *bridge.Bridge {
	t.Helper()
	b, err := first.ForLanguage(lm.Spec(), templates(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func templates() bridge.Templates {
	return bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:", TargetPrefix: " "}
}

func fakeLanguage() *adaptertest.FakeLanguage { return adaptertest.NewFakeLanguage("fake", 3) }

// newSession returns a run of a bridge and a language model in dir, on 32 pictures.
func newSession(t *testing.T, b *bridge.Bridge, lm adapters.LanguageModel, plan train.Plan, dir string) *train.Session {
	t.Helper()
	w, err := metrics.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &train.Session{
		Plan: plan, Bridge: b, Language: lm, Train: scenes(t, kit.Train, 32), Eval: scenes(t, kit.HeldOut, 6), Dir: dir,
		Metrics: w, Progress: metrics.Silent(), Log: slog.New(slog.DiscardHandler),
	}
}

// newSessionFor returns a run of a tiny bridge of the stage that the plan trains, with
// dropout, beside a fake language model.
func newSessionFor(t *testing.T, plan train.Plan, dir string) *train.Session {
	t.Helper()
	if plan.Phases[0].Objective.Stage == 1 {
		return newSession(t, tiny(t, 0.1), nil, plan, dir)
	}
	lm := fakeLanguage()
	return newSession(t, tinyFor(t, lm, 0.1), lm, plan, dir)
}

// uninterrupted returns the weights with which a plan's run ends if nothing stops it. It
// writes no checkpoint on the way: weights do not depend on checkpoints.
func uninterrupted(t *testing.T, plan train.Plan) map[string]*adapters.Tensor {
	t.Helper()
	plan.CheckpointEvery = 0
	dir := t.TempDir()
	if _, err := newSessionFor(t, plan, dir).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return weightsOf(t, dir)
}

// onePhase returns a plan of one phase, "only", without evaluation.
func onePhase(o objective.Objective, steps int) train.Plan {
	phase := train.Phase{
		Name: "only", Objective: o, Train: []train.Module{train.QFormer}, Batch: 8, Schedule: optim.Schedule{Steps: steps, Warmup: 1},
		Optimizer: optimizer(map[train.Module]float64{train.QFormer: 1e-3}),
	}
	if o.Stage == 2 {
		phase.Train = append(phase.Train, train.Projection)
		phase.Optimizer.LearningRate[train.Projection] = 1e-3
	}
	return train.Plan{Seed: 7, Templates: templates(), Phases: []train.Phase{phase}}
}

// warmupAndStage2 returns a plan of two steps of projector warm-up and some of stage 2,
// with evaluations and checkpoints.
func warmupAndStage2(steps int) train.Plan {
	return train.Plan{
		Seed: 7, Templates: templates(), CheckpointEvery: 2,
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

// stage2 returns the second phase of [warmupAndStage2] alone.
func stage2(steps int) train.Plan {
	plan := warmupAndStage2(steps)
	plan.Phases = plan.Phases[1:]
	return plan
}

func optimizer(rates map[train.Module]float64) train.Optimizer {
	return train.Optimizer{LearningRate: rates, Config: optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, WeightDecay: 0.05, ClipNorm: 1}}
}

// listening keeps what a language model was asked.
type listening struct {
	adapters.LanguageModel
	asked []*adapters.LossRequest
}

func (l *listening) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	l.asked = append(l.asked, req)
	return l.LanguageModel.Loss(ctx, req)
}

func (l *listening) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	return l.LanguageModel.(adapters.TokenCounter).CountTokens(ctx, texts)
}

// parts splits an example into its texts and its target, and checks that it
// begins with the soft prompt of its place in the batch.
func parts(t *testing.T, i int, e adapters.Example) (text, target string) {
	t.Helper()
	if len(e.Segments) == 0 || !e.Segments[0].IsPrompt || e.Segments[0].Prompt != i {
		t.Fatalf("example %d does not begin with its soft prompt: %+v", i, e.Segments)
	}
	var texts []string
	for _, s := range e.Segments[1:] {
		texts = append(texts, s.Text)
	}
	return strings.Join(texts, "|"), e.Target
}

func captionSet(d data.Dataset) map[string]int {
	all := map[string]int{}
	for i := range d.Len() {
		for _, c := range recordOf(d, i).Captions {
			all[c] = i
		}
	}
	return all
}

// weightsIn reads the weights in a bridge's folder.
func weightsIn(t *testing.T, dir string) map[string]*adapters.Tensor {
	t.Helper()
	found, _, err := weights.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// weightsOf reads the weights of the bridge that a run ended with.
func weightsOf(t *testing.T, run string) map[string]*adapters.Tensor {
	t.Helper()
	return weightsIn(t, train.BridgeDir(run))
}

// weightsNow returns the weights of a bridge.
func weightsNow(t *testing.T, b *bridge.Bridge) map[string]*adapters.Tensor {
	t.Helper()
	dir := t.TempDir()
	if err := b.Save(dir, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	return weightsIn(t, dir)
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

// readMetric returns a figure's values, step by step.
func readMetric(t *testing.T, dir, key string) []float64 {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, metrics.File))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var values []float64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line map[string]float64
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if v, ok := line[key]; ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		t.Fatalf("no values of %s", key)
	}
	return values
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
