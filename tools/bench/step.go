package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
	"github.com/modular-bridging/bridge/workspace"
)

// steps are the settings of a row that trains.
type steps struct {
	Stage     int     `json:"stage"`
	Layers    int     `json:"layers"` // of the Q-Former
	Dropout   float64 `json:"dropout"`
	Rate      float64 `json:"rate"`      // of learning
	Weights   string  `json:"weights"`   // file of the Q-Former's weights, which trainside.py writes
	Tokenizer string  `json:"tokenizer"` // of the Q-Former, a tokenizer.json
	Bridge    string  `json:"bridge"`    // program that serves the language model in a process of its own
	Run       string  `json:"run"`       // folder for the run

	Checkpointing bool `json:"checkpointing"` // see train.Session
}

// openSteps opens a training. Each call is one step of it.
func (j *job) openSteps(backend string) (side, error) {
	s, err := j.session(backend)
	if err != nil {
		return side{}, err
	}
	t := &turns{asked: make(chan struct{}), losses: make(chan float64), failed: make(chan error, 1)}
	s.Progress = t
	go func() {
		<-t.asked
		_, err := s.Run(context.Background())
		t.failed <- errors.Join(err, errors.New("the training ended"))
	}()
	close := func() error {
		if s.Language != nil {
			return s.Language.Close()
		}
		return nil
	}
	return side{close, func(context.Context) (result, error) {
		t.asked <- struct{}{}
		select {
		case loss := <-t.losses:
			return result{Loss: loss}, nil
		case err := <-t.failed:
			return result{}, err
		}
	}}, nil
}

// session returns a training on one batch of features that are given, in float32.
func (j *job) session(backend string) (*train.Session, error) {
	language, err := j.language(backend)
	if err != nil {
		return nil, err
	}
	b, err := j.bridge(backend, language)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(j.Inputs)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(j.Run); err != nil {
		return nil, err
	}
	w, err := metrics.Open(j.Run)
	if err != nil {
		return nil, err
	}
	features := given{&adapters.Tensor{DType: adapters.Float32, Shape: j.Shape, Data: raw}}
	set := train.Set{Data: captions(j.Targets), Features: features}
	return &train.Session{Plan: j.plan(), Bridge: b, Language: language, Train: set, Eval: set, Dir: j.Run,
		Checkpointing: j.Checkpointing, Metrics: w, Log: slog.New(slog.DiscardHandler)}, nil
}

// plan trains everything on whole batches, at a constant rate.
func (j *job) plan() train.Plan {
	const forever = 1 << 20
	rates := map[train.Module]float64{train.QFormer: j.Rate}
	phase := train.Phase{Name: "bench", Objective: objective.Representation(), Train: []train.Module{train.QFormer}, Batch: j.Shape[0],
		Schedule: optim.Schedule{Steps: forever, MinFactor: 1}}
	if j.Stage == 2 {
		phase.Objective = objective.LanguageModeling()
		phase.Train = append(phase.Train, train.Projection)
		rates[train.Projection] = j.Rate
	}
	phase.Optimizer = train.Optimizer{LearningRate: rates, Config: optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, WeightDecay: 0.05, ClipNorm: 1}}
	return train.Plan{Seed: 1, Phases: []train.Phase{phase}}
}

// language opens the frozen language model in a process of its own; nil in stage 1.
func (j *job) language(backend string) (adapters.LanguageModel, error) {
	if j.Stage == 1 {
		return nil, nil
	}
	w := workspace.New(workspace.Options{AdapterCommand: []string{j.Bridge, "adapter", "serve"}})
	reg, err := w.Registry()
	if err != nil {
		return nil, err
	}
	found, err := reg.FolderKind(j.Checkpoint, adapters.KindLanguage)
	if err != nil {
		return nil, err
	}
	return w.OpenLanguage(context.Background(), workspace.OpenSpec{Model: found, Isolation: workspace.IsolationProcess, DType: "float32", Backend: backend})
}

// bridge makes the bridge that is trained, with the weights of the row.
func (j *job) bridge(backend string, language adapters.LanguageModel) (*bridge.Bridge, error) {
	ctx := context.Background()
	words, err := bridge.OpenTokenizer(ctx, j.Tokenizer)
	if err != nil {
		return nil, err
	}
	opened, err := bridge.OpenBackend(backend)
	if err != nil {
		return nil, err
	}
	c := qformer.Base()
	c.EncoderWidth, c.Layers, c.Vocabulary, c.Dropout = j.Shape[2], j.Layers, words.Vocabulary(), j.Dropout
	b, err := bridge.New(opened, c, words, 1)
	if err != nil {
		return nil, err
	}
	if language != nil {
		first := b
		defer first.Close()
		if b, err = first.ForLanguage(language.Spec(), bridge.Templates{}, 1); err != nil {
			return nil, err
		}
	}
	return b, load(b.Store(), j.Weights)
}

// load replaces the variables of a store by the tensors of a file, which has one for each.
func load(store *model.Store, path string) error {
	found, _, err := weights.ReadFile(path)
	if err != nil {
		return err
	}
	for v := range store.IterVariables() {
		t := found[v.Path()[1:]]
		if err := t.Check(v.Path(), v.Shape().Dimensions, adapters.Float32); err != nil {
			return err
		}
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(t.Float32s(), t.Shape...)); err != nil {
			return err
		}
	}
	return nil
}

// captions is a data set of pictures with a caption each. Pictures with the same caption show the same.
type captions []string

func (c captions) Name() string   { return "bench" }
func (c captions) Digest() string { return "bench" }
func (c captions) Len() int       { return len(c) }

func (c captions) Record(i int) (data.Record, error) {
	return data.Record{ID: fmt.Sprint(i), Group: c[i], Captions: []string{c[i]}}, nil
}

func (c captions) Image(int) (*adapters.Tensor, error) {
	return nil, errors.New("the rows of training have features, and no pictures")
}

// given are the features of a data set float32[N, P, D].
type given struct{ all *adapters.Tensor }

func (g given) Features(_ context.Context, indices []int) (*adapters.Tensor, error) {
	return g.all.Gather(indices), nil
}

// turns lets a training do one step whenever it is asked, and passes on the step's loss.
type turns struct {
	asked  chan struct{}
	losses chan float64
	failed chan error
}

func (t *turns) Start(string, int, int) metrics.Task { return t }
func (t *turns) Done()                               {}

func (t *turns) Step(_, _ int, loss float64) {
	t.losses <- loss
	<-t.asked
}
