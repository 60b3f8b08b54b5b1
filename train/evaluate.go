package train

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train/cost"
)

// evaluate measures the bridge on the evaluation set and publishes the scores. captions is
// the number of captions to generate, rerank the number of candidates that ITM ranks again.
func (s *Session) evaluate(ctx context.Context, captions, rerank int) (Scores, error) {
	var scores Scores
	err := s.whileCounting(cost.Evaluation, func() (err error) {
		measured := false
		if scores, measured, err = s.examine(s.Eval).measure(ctx, captions, rerank); measured {
			err = s.publish(scores)
		}
		return err
	})
	if err == nil {
		s.logUntil()
	}
	return scores, err
}

// examination measures the session's bridge on a set.
type examination struct {
	*Session
	set Set
}

// examine returns the examination on a set.
func (s *Session) examine(set Set) examination { return examination{s, set} }

// measure measures the bridge on the first records of the set. It reports false if these are
// too few.
func (x examination) measure(ctx context.Context, captions, rerank int) (scores Scores, measured bool, err error) {
	scores = Scores{Step: x.stepsDone, Seconds: x.clock.Seconds()}
	rows, features, err := x.set.Read(ctx, func() ([]int, error) { return x.rows(max(x.Plan.Evaluation.Examples, captions)) })
	if err != nil {
		return scores, false, err
	}
	n := min(x.Plan.Evaluation.Examples, len(rows))
	if n < 2 {
		x.Log.Warn("skipping evaluation: need at least two held-out pictures with a caption or question", "data", x.set.Data.Name(), "usable", len(rows))
		return scores, false, nil
	}
	scores.pictures = x.newPictures(rows)
	if x.Bridge.Info.Stage == 1 {
		err = x.retrieval(ctx, &scores, features.Slice(0, n), rows[:n], rerank)
	} else if err = x.grounding(ctx, &scores, features, rows[:n]); err == nil && x.haveCaptions(rows) {
		err = x.writeCaptions(ctx, &scores, features, rows[:min(captions, len(rows))])
	}
	return scores, err == nil, err
}

// rows returns the first n rows of the set that have a caption. If none has one and the bridge
// can answer, it returns the first n that have a question. Pictures that are left out do not
// count. It leaves out records that are bad, and returns an error if these are too many.
func (x examination) rows(n int) ([]int, error) {
	var names map[string]bool
	if x.set.LeftOut != nil {
		names = x.set.LeftOut.Names()
	}
	var captioned, questioned []int
	for i := 0; i < x.set.Data.Len() && len(captioned) < n; i++ {
		if names[idOf(x.set.Data, i)] {
			continue
		}
		e, ok, err := x.set.record(i)
		switch {
		case err != nil:
			return nil, err
		case !ok:
		case len(e.Captions) > 0:
			captioned = append(captioned, i)
		case len(e.Questions) > 0 && len(questioned) < n:
			questioned = append(questioned, i)
		}
	}
	if len(captioned) > 0 || x.Bridge.Info.Stage == 1 {
		return captioned, nil
	}
	return questioned, nil
}

// haveCaptions reports whether rows that the method rows returned have captions.
func (x examination) haveCaptions(rows []int) bool {
	if len(rows) == 0 {
		return false
	}
	record, err := x.set.Data.Record(rows[0])
	return err == nil && len(record.Captions) > 0
}

// firstCaptions returns the first caption of each row.
func (x examination) firstCaptions(rows []int) ([]string, error) {
	texts := make([]string, len(rows))
	for i, row := range rows {
		record, err := x.set.Data.Record(row)
		if err != nil {
			return nil, err
		}
		texts[i] = record.Captions[0]
	}
	return texts, nil
}

// retrieval measures how well a stage-1 bridge finds the rows' captions and pictures.
func (x examination) retrieval(ctx context.Context, scores *Scores, features *adapters.Tensor, rows []int, rerank int) error {
	captions, err := x.firstCaptions(rows)
	if err == nil {
		captions, err = x.texts.truncate(ctx, x.texts.limits.caption, captions)
	}
	if err != nil {
		return err
	}
	scores.Retrieval, err = eval.MeasureRetrieval(ctx, x.Bridge, features, captions, rerank)
	return err
}

// grounding measures the loss of the rows' captions, or of their answers if they have
// no captions. The rows' features come first in features.
func (x examination) grounding(ctx context.Context, scores *Scores, features *adapters.Tensor, rows []int) error {
	samples := make([]data.Sample, len(rows))
	for i, row := range rows {
		e, err := x.set.Data.Record(row)
		if err != nil {
			return err
		}
		if len(e.Captions) > 0 {
			samples[i].Caption = e.Captions[0]
		} else {
			samples[i].Question = &e.Questions[0]
		}
	}
	samples, err := x.texts.samples(ctx, samples)
	if err != nil {
		return err
	}
	examples := make([]adapters.Example, len(rows))
	for i, sample := range samples {
		if q := sample.Question; q != nil {
			examples[i] = x.Plan.Templates.QuestionExample(i, q.Question, q.Answer)
		} else {
			examples[i] = x.evalExample(i, sample.Caption)
		}
	}
	g, losses, err := eval.MeasureGrounding(ctx, x.model(), features.Slice(0, len(rows)), examples)
	if err != nil {
		return namePicture(x.set.Data, rows, err)
	}
	scores.Grounding = &g
	for i := range losses {
		scores.pictures[i].Loss = &losses[i]
	}
	return nil
}

// evalExample returns the example by which the objective of the run's last phase measures
// the loss of a caption.
func (s *Session) evalExample(i int, caption string) adapters.Example {
	last := s.Plan.Phases[len(s.Plan.Phases)-1]
	return last.Objective.EvalExample(s.Plan.Templates, i, caption)
}

func (s *Session) model() *bridge.Model { return &bridge.Model{Bridge: s.Bridge, Language: s.language} }

// writeCaptions generates captions for rows of the set, whose features come first in features,
// and measures them.
func (x examination) writeCaptions(ctx context.Context, scores *Scores, features *adapters.Tensor, rows []int) (err error) {
	n := len(rows)
	if n == 0 {
		return nil
	}
	first, err := x.firstCaptions(rows)
	if err != nil {
		return err
	}
	if scores.samples, err = eval.Captions(ctx, x.model(), features.Slice(0, n), first); err != nil {
		return namePicture(x.set.Data, rows, err)
	}
	got, references := make([]string, n), make([][]string, n)
	for i, row := range rows {
		record, err := x.set.Data.Record(row)
		if err != nil {
			return err
		}
		scores.samples[i].Index, scores.samples[i].Kind = row, record.Kind
		got[i], references[i] = scores.samples[i].Got, record.Captions
		right := scores.samples[i].Right()
		scores.pictures[i].Exact = &right
	}
	scores.Captions, scores.ByKind, scores.Values = n, eval.MatchByKind(scores.samples), eval.Values{}
	for _, m := range x.evalMetrics() {
		if m.Captions != nil {
			scores.Values[m.Name] = m.Captions(got, references)
		}
	}
	return nil
}

// evalMetrics returns the metrics of the run's evaluations.
func (s *Session) evalMetrics() []eval.Metric {
	if s.EvalMetrics != nil {
		return s.EvalMetrics
	}
	return eval.Metrics()
}

// evalSeries returns the names of the series that evaluations write.
func (s *Session) evalSeries() []string {
	var names []string
	for _, m := range s.evalMetrics() {
		if m.Series != "" {
			names = append(names, m.Series)
		}
	}
	return names
}

// publish appends scores to the run's and writes them to the metrics.
func (s *Session) publish(scores Scores) error {
	s.state.Lock()
	s.scores = append(s.scores, scores)
	s.state.Unlock()
	values := map[string]float64{}
	for _, m := range s.evalMetrics() {
		if v, ok := m.Of(scores.Results); ok && m.Series != "" {
			values[m.Series] = v
		}
	}
	return s.Metrics.Write(s.stepsDone, s.clock, values)
}
