package train_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// made is features that are a function of the row alone: no encoder runs.
type made struct{}

func (made) Features(_ context.Context, rows []int) (*adapters.Tensor, error) {
	t := adapters.NewTensor(adapters.Float32, len(rows), 3, 8)
	for i, row := range rows {
		for j := range t.Row(i).Float32s() {
			t.Row(i).Float32s()[j] = float32((row+1)*(j+3)*7919%211)/105 - 1
		}
	}
	return t, nil
}

// scenes is the captions of the kit's first n pictures, with made features.
func scenes(t *testing.T, split string, n int) train.Set {
	t.Helper()
	d, err := data.OpenKit(kitSplit(split), n, adapters.ImageSpec{Width: 64, Height: 64})
	if err != nil {
		t.Fatal(err)
	}
	return train.Set{Data: d, Features: made{}}
}

// tiny is the smallest bridge that has every part.
func tiny(t *testing.T, dropout float64) *bridge.Bridge {
	t.Helper()
	return tinyOn(t, backends.ForTest(t), dropout)
}

func tinyOn(t *testing.T, backend compute.Backend, dropout float64) *bridge.Bridge {
	t.Helper()
	words, err := bridge.OpenWords(t.Context(), models("qformer-tokenizer")+"/tokenizer.json")
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

// tinyFor joins a tiny bridge with a language model.
func tinyFor(t *testing.T, lm adapters.LanguageModel, dropout float64) *bridge.Bridge {
	t.Helper()
	return join(t, tiny(t, dropout), lm)
}

// join joins a bridge with a language model.
func join(t *testing.T, first *bridge.Bridge, lm adapters.LanguageModel) *bridge.Bridge {
	t.Helper()
	b, err := first.ForLanguage(lm.Spec(), prompts(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func fakeLanguage() *adaptertest.FakeLanguage { return adaptertest.NewFakeLanguage("fake", 3) }

// quick joins a run that takes a fraction of a second.
func quick(t *testing.T, b *bridge.Bridge, lm adapters.LanguageModel, plan train.Plan, dir string) *train.Session {
	t.Helper()
	w, err := metrics.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &train.Session{
		Plan: plan, Bridge: b, Language: lm, Train: scenes(t, "train", 32), Eval: scenes(t, "held-out", 6), Dir: dir,
		Metrics: w, Progress: metrics.Silent(), Log: slog.New(slog.DiscardHandler),
	}
}

// quickPlan is one stage of so many steps, nothing evaluated.
func quickPlan(o objective.Objective, steps int) train.Plan {
	modules := map[train.Module]float64{train.QFormer: 1e-3}
	if o.Stage != 1 {
		modules[train.Projection] = 1e-3
	}
	st := train.Phase{Name: "only", Objective: o, Batch: 8, Schedule: optim.Schedule{Steps: steps, Warmup: 1}, Optimizer: optimizer(modules)}
	for _, m := range []train.Module{train.QFormer, train.Projection} {
		if _, ok := modules[m]; ok {
			st.Train = append(st.Train, m)
		}
	}
	return train.Plan{Seed: 7, Templates: prompts(), Phases: []train.Phase{st}}
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
		for _, c := range d.Record(i).Captions {
			all[c] = i
		}
	}
	return all
}
