package train

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train/cost"
)

// Result holds the results of a finished run.
type Result struct {
	Final   Scores               `json:"final"`
	Curve   []Scores             `json:"curve"`             // every evaluation, in order
	Answers map[string]eval.Rate `json:"answers,omitempty"` // by kind of question
	Samples []eval.Caption       `json:"samples,omitempty"`
	Steps   int                  `json:"steps"`
	Seconds float64              `json:"seconds"` // of training, with initialisation, warm-up and caches, without evaluation
	// Also holds the last results on the sets of [Session.Also].
	Also []SetResult `json:"also,omitempty"`
	// Until says how the run ended, if its plan has an Until.
	Until *UntilResult `json:"until,omitempty"`
	Cost  cost.Ledger  `json:"cost,omitempty"` // nil if an older version of bridge made a part of the run

	Pictures []PictureScore `json:"-"` // of Final, in the order of the evaluation set
}

// finish runs the last evaluations, saves the trained bridge and returns the results.
func (s *Session) finish(ctx context.Context) (Result, error) {
	final, err := s.evaluate(ctx, s.finalCaptions(), s.Plan.Evaluation.Rerank)
	if err != nil {
		return Result{}, err
	}
	r := Result{Final: final, Samples: final.samples, Pictures: final.pictures, Steps: s.stepsDone, Seconds: s.clock.Seconds()}
	if err := s.whileCounting(cost.Evaluation, func() error { return s.examineFurther(ctx, &r) }); err != nil {
		return Result{}, err
	}
	if final.Retrieval != nil {
		s.Bridge.Info.Retrieval = &bridge.Retrieval{Pairs: final.Retrieval.Pairs, TextR1: final.Retrieval.TextR1, ImageR1: final.Retrieval.ImageR1}
	}
	r.Curve, r.Cost, r.Until = s.scores, s.counted, s.untilResult(final)
	return r, s.saveBridge()
}

// examineFurther measures answers, and everything on the further sets.
func (s *Session) examineFurther(ctx context.Context, r *Result) (err error) {
	if r.Answers, err = s.examine(s.Eval).answers(ctx); err != nil {
		return err
	}
	for _, set := range s.Also {
		also, err := s.examine(set).result(ctx)
		if err != nil {
			return err
		}
		r.Also = append(r.Also, also)
	}
	return nil
}

// finalCaptions returns the number of captions that the last evaluation generates.
func (s *Session) finalCaptions() int {
	return cmp.Or(s.Plan.Evaluation.FinalCaptions, s.Plan.Evaluation.Captions)
}

// result measures the trained bridge on the set.
func (x examination) result(ctx context.Context) (r SetResult, err error) {
	if r.Scores, _, err = x.measure(ctx, x.finalCaptions(), x.Plan.Evaluation.Rerank); err != nil {
		return r, err
	}
	r.Data, r.Pictures = x.set.Describe(), r.Scores.pictures
	r.Answers, err = x.answers(ctx)
	return r, err
}

// answers generates answers to all questions about the first pictures of the set that are not
// left out, and scores them by kind. It returns nil if the run generates no captions or no answers.
func (x examination) answers(ctx context.Context) (map[string]eval.Rate, error) {
	if x.Bridge.Info.Stage != 2 || x.finalCaptions() == 0 || x.Plan.Evaluation.NoAnswers {
		return nil, nil
	}
	first := func() ([]int, error) { return x.firstReadable(x.Plan.Evaluation.Examples) }
	if asked, err := x.askAny(first); err != nil || !asked {
		return nil, err
	}
	rows, features, err := x.set.Read(ctx, first)
	if err != nil {
		return nil, err
	}
	questions, asked, err := x.questions(rows)
	if err != nil || len(questions) == 0 {
		return nil, err
	}
	if err := x.texts.questions(ctx, questions); err != nil {
		return nil, err
	}
	if few := eval.FewAnswers(questions); few > 0 {
		x.Log.Warn("questions have 2 or 3 answers: by VQA accuracy no answer scores 1 there", "data", x.set.Data.Name(), "questions", few)
	}
	found, err := eval.Answers(ctx, x.model(), features, questions)
	return found, namePicture(x.set.Data, asked, err)
}

// questions returns the questions about rows, and the row of each question.
func (x examination) questions(rows []int) (questions []eval.Question, asked []int, err error) {
	for i, row := range rows {
		record, err := x.set.Data.Record(row)
		if err != nil {
			return nil, nil, err
		}
		for _, q := range record.Questions {
			questions = append(questions, eval.Question{Row: i, Question: q.Question, Answer: q.Answer, Answers: q.Answers, Kind: q.Kind})
			asked = append(asked, row)
		}
	}
	return questions, asked, nil
}

// firstReadable returns the first n rows of the set that are not left out. It leaves out records
// that are bad, and returns an error if these are too many.
func (x examination) firstReadable(n int) (rows []int, err error) {
	for _, row := range x.set.Usable(span(0, x.set.Data.Len())) {
		if len(rows) == n {
			break
		}
		r, ok, err := x.set.record(row)
		if err != nil {
			return nil, err
		}
		if ok && len(r.Captions)+len(r.Questions) > 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// askAny reports whether one of some records of the set has a question.
func (x examination) askAny(choose func() ([]int, error)) (bool, error) {
	rows, err := choose()
	return slices.ContainsFunc(rows, func(row int) bool {
		record, _ := x.set.Data.Record(row) // read before
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
	text := fmt.Sprintf("%s: %s on %s, %d steps of %d", phase.Name, phase.Objective, s.Train.Data.Name(), s.schedule(phase).Length(), phase.Batch)
	if phase.Mix.Questions > 0 {
		text += fmt.Sprintf(", %.0f %% questions", 100*phase.Mix.Questions)
	}
	return text
}
