package train

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
)

// Result holds the results of a finished run.
type Result struct {
	Final   Scores               `json:"final"`
	Curve   []Scores             `json:"curve"`             // every evaluation, in order
	Answers map[string]eval.Rate `json:"answers,omitempty"` // by kind of question
	Samples []eval.Caption       `json:"samples,omitempty"`
	Steps   int                  `json:"steps"`
	Seconds float64              `json:"seconds"` // of training, with initialisation, warm-up and caches, without evaluation
}

// finish runs the last evaluation, saves the trained bridge and returns the results.
func (s *Session) finish(ctx context.Context) (Result, error) {
	captions := s.Plan.Evaluation.FinalCaptions
	if captions == 0 {
		captions = s.Plan.Evaluation.Captions
	}
	final, err := s.evaluate(ctx, captions, s.Plan.Evaluation.Rerank)
	if err != nil {
		return Result{}, err
	}
	r := Result{Final: final, Curve: s.scores, Samples: final.samples, Steps: s.stepsDone, Seconds: s.clock.Seconds()}
	if s.Bridge.Info.Stage == 2 && captions > 0 {
		if r.Answers, err = s.answers(ctx, s.Plan.Evaluation.Examples); err != nil {
			return Result{}, err
		}
	}
	if final.Retrieval != nil {
		s.Bridge.Info.Retrieval = &bridge.Retrieval{Pairs: final.Retrieval.Pairs, TextR1: final.Retrieval.TextR1, ImageR1: final.Retrieval.ImageR1}
	}
	return r, s.saveBridge()
}

// answers generates answers to all questions about the first n pictures of the
// evaluation set that are not left out, and scores them by kind.
func (s *Session) answers(ctx context.Context, n int) (map[string]eval.Rate, error) {
	first := func() ([]int, error) { return s.firstReadable(n) }
	if asked, err := s.askAny(first); err != nil || !asked {
		return nil, err
	}
	rows, features, err := s.Eval.Read(ctx, first)
	if err != nil {
		return nil, err
	}
	var questions []eval.Question
	var asked []int // row of each question
	for i, row := range rows {
		record, err := s.Eval.Data.Record(row)
		if err != nil {
			return nil, err
		}
		for _, q := range record.Questions {
			questions = append(questions, eval.Question{Row: i, Question: q.Question, Answer: q.Answer, Answers: q.Answers, Kind: q.Kind})
			asked = append(asked, row)
		}
	}
	if len(questions) == 0 {
		return nil, nil
	}
	if err := s.texts.questions(ctx, questions); err != nil {
		return nil, err
	}
	if few := eval.FewAnswers(questions); few > 0 {
		s.Log.Warn("questions have 2 or 3 answers: by VQA accuracy no answer scores 1 there", "data", s.Eval.Data.Name(), "questions", few)
	}
	found, err := eval.Answers(ctx, s.model(), features, questions)
	return found, namePicture(s.Eval.Data, asked, err)
}

// firstReadable returns the first n rows of the evaluation set that are not left out. It
// leaves out records that are bad, and returns an error if these are too many.
func (s *Session) firstReadable(n int) (rows []int, err error) {
	for _, row := range s.Eval.Usable(span(0, s.Eval.Data.Len())) {
		if len(rows) == n {
			break
		}
		r, ok, err := s.Eval.record(row)
		if err != nil {
			return nil, err
		}
		if ok && len(r.Captions)+len(r.Questions) > 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// askAny reports whether one of some records of the evaluation set has a question.
func (s *Session) askAny(choose func() ([]int, error)) (bool, error) {
	rows, err := choose()
	return slices.ContainsFunc(rows, func(row int) bool {
		record, _ := s.Eval.Data.Record(row) // read before
		return len(record.Questions) > 0
	}), err
}

// BridgeDir returns the folder in which a run keeps its trained bridge.
func BridgeDir(run string) string { return filepath.Join(run, "bridge") }

// saveBridge writes the trained bridge to the run folder.
func (s *Session) saveBridge() error {
	info := &s.Bridge.Info
	for _, phase := range s.Plan.Phases {
		info.TrainedOn = append(info.TrainedOn, s.describePhase(phase))
	}
	info.Steps += s.stepsDone
	return s.Bridge.Save(BridgeDir(s.Dir), adapters.Float32)
}

// describePhase describes a phase and its data for [bridge.Info].
func (s *Session) describePhase(phase Phase) string {
	text := fmt.Sprintf("%s: %s on %s, %d steps of %d", phase.Name, phase.Objective, s.Train.Data.Name(), phase.Schedule.Steps, phase.Batch)
	if phase.Mix.Questions > 0 {
		text += fmt.Sprintf(", %.0f %% questions", 100*phase.Mix.Questions)
	}
	return text
}
