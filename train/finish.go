package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
)

// Result is what a run ended with.
type Result struct {
	Final   Scores               `json:"final"`
	Curve   []Scores             `json:"curve"`             // every evaluation, in order
	Answers map[string]eval.Rate `json:"answers,omitempty"` // by kind of question
	Samples []eval.Caption       `json:"samples,omitempty"`
	Steps   int                  `json:"steps"`
	Seconds float64              `json:"seconds"` // of training: start of the projection, warm-up and caches included, evaluation not
}

// Check reports what no run can be made of.
func (s *Session) Check() error {
	if len(s.Plan.Stages) == 0 {
		return fmt.Errorf("the plan has no stages")
	}
	asks := slices.ContainsFunc(s.Plan.Stages, func(st Stage) bool { return st.Mix.Questions > 0 })
	if _, left := Captioned(s.Train); left > 0 && !asks {
		return fmt.Errorf("%d pictures of %s have no caption, and the plan asks no questions", left, s.Train.Data.Name())
	}
	for _, st := range s.Plan.Stages {
		if st.Objective != Representation {
			if err := CheckLanguage(s.Language); err != nil {
				return fmt.Errorf("stage %s: %w", st.Name, err)
			}
		}
		switch {
		case st.Schedule.Steps < 1:
			return fmt.Errorf("stage %s: %d steps, want at least 1", st.Name, st.Schedule.Steps)
		case st.Batch < 1:
			return fmt.Errorf("stage %s: batch of %d, want at least 1", st.Name, st.Batch)
		case st.Accumulate > 1 && st.Batch%st.Accumulate != 0:
			return fmt.Errorf("stage %s: a batch of %d does not divide into %d micro-batches", st.Name, st.Batch, st.Accumulate)
		case st.Batch > s.Train.Data.Len():
			return adapters.Errorf(adapters.Invalid, "stage %s: a batch of %d from %d examples (%s)", st.Name, st.Batch, s.Train.Data.Len(), s.Train.Data.Name()).
				WithRemedy("lower optimizer.batch, or give more data")
		case st.CachedQueries > 0 && slices.Contains(st.Train, QFormer):
			return fmt.Errorf("stage %s trains the Q-Former, so its outputs cannot be cached", st.Name)
		case st.CachedQueries > 0 && st.Batch > st.CachedQueries:
			return fmt.Errorf("stage %s: a batch of %d from %d cached pictures", st.Name, st.Batch, st.CachedQueries)
		}
	}
	return nil
}

// stepper makes the steps of a stage.
func (s *Session) stepper(ctx context.Context, st Stage) (stepper, error) {
	if st.Objective == Representation {
		return newRepresentation(s, st)
	}
	return newGenerative(ctx, s, st)
}

// finish measures the trained bridge for the last time and saves it.
func (s *Session) finish(ctx context.Context) (Result, error) {
	captions := s.Plan.Evaluation.FinalCaptions
	if captions == 0 {
		captions = s.Plan.Evaluation.Captions
	}
	final, err := s.evaluate(ctx, captions, s.Plan.Evaluation.Rerank)
	if err != nil {
		return Result{}, err
	}
	r := Result{Final: final, Curve: s.scores, Samples: final.samples, Steps: s.done, Seconds: s.clock.Seconds()}
	if s.Bridge.Info.Stage == 2 && captions > 0 {
		if r.Answers, err = s.answers(ctx, s.Plan.Evaluation.Examples); err != nil {
			return Result{}, err
		}
	}
	if final.Retrieval != nil {
		s.Bridge.Info.Retrieval = &bridge.Retrieval{Pairs: final.Retrieval.Pairs, TextR1: final.Retrieval.TextR1, ImageR1: final.Retrieval.ImageR1}
	}
	return r, s.saveBridge(s.Bridge)
}

// answers asks every question about the first n held-out pictures.
func (s *Session) answers(ctx context.Context, n int) (map[string]eval.Rate, error) {
	n = min(n, s.Held.Data.Len())
	var questions []eval.Question
	for i := range n {
		for _, q := range s.Held.Data.Example(i).Questions {
			questions = append(questions, eval.Question{Row: i, Question: q.Question, Answer: q.Answer, Kind: q.Kind})
		}
	}
	if len(questions) == 0 {
		return nil, nil
	}
	features, err := s.Held.Features.Features(ctx, span(0, n))
	if err != nil {
		return nil, err
	}
	return eval.Answers(ctx, &bridge.Model{Bridge: s.Bridge, Language: s.Language}, features, questions)
}
