package train

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval"
)

// evaluate measures the bridge on the first records of the evaluation set. captions is
// the number of captions to generate, rerank the number of candidates that ITM ranks
// again.
func (s *Session) evaluate(ctx context.Context, captions, rerank int) (Scores, error) {
	scores := Scores{Step: s.stepsDone, Seconds: s.clock.Seconds()}
	rows, features, err := s.Eval.Read(ctx, func() ([]int, error) { return s.evalRows(max(s.Plan.Evaluation.Examples, captions)) })
	if err != nil {
		return scores, err
	}
	n := min(s.Plan.Evaluation.Examples, len(rows))
	if n < 2 {
		s.Log.Warn("skipping evaluation: need at least two held-out pictures with a caption or question", "data", s.Eval.Data.Name(), "usable", len(rows))
		return scores, nil
	}
	if s.Bridge.Info.Stage == 1 {
		var captions []string
		if captions, err = s.firstCaptions(rows[:n]); err == nil {
			captions, err = s.texts.truncate(ctx, s.texts.limits.caption, captions)
		}
		if err == nil {
			scores.Retrieval, err = eval.MeasureRetrieval(ctx, s.Bridge, features.Slice(0, n), captions, rerank)
		}
	} else if scores.Grounding, err = s.grounding(ctx, features, rows[:n]); err == nil && s.haveCaptions(rows) {
		err = s.writeCaptions(ctx, &scores, features, rows[:min(captions, len(rows))])
	}
	if err != nil {
		return scores, err
	}
	return scores, s.publish(scores)
}

// evalRows returns the first n rows of the evaluation set that have a caption. If none
// has one and the bridge can answer, it returns the first n that have a question. Pictures
// that are left out do not count. It leaves out records that are bad, and returns an error if
// these are too many.
func (s *Session) evalRows(n int) ([]int, error) {
	var names map[string]bool
	if s.Eval.LeftOut != nil {
		names = s.Eval.LeftOut.Names()
	}
	var captioned, questioned []int
	for i := 0; i < s.Eval.Data.Len() && len(captioned) < n; i++ {
		if names[idOf(s.Eval.Data, i)] {
			continue
		}
		e, ok, err := s.Eval.record(i)
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
	if len(captioned) > 0 || s.Bridge.Info.Stage == 1 {
		return captioned, nil
	}
	return questioned, nil
}

// haveCaptions reports whether rows that evalRows returned have captions.
func (s *Session) haveCaptions(rows []int) bool {
	if len(rows) == 0 {
		return false
	}
	record, err := s.Eval.Data.Record(rows[0])
	return err == nil && len(record.Captions) > 0
}

// firstCaptions returns the first caption of each row.
func (s *Session) firstCaptions(rows []int) ([]string, error) {
	texts := make([]string, len(rows))
	for i, row := range rows {
		record, err := s.Eval.Data.Record(row)
		if err != nil {
			return nil, err
		}
		texts[i] = record.Captions[0]
	}
	return texts, nil
}

// grounding measures the loss of the rows' captions, or of their answers if they have
// no captions.
func (s *Session) grounding(ctx context.Context, features *adapters.Tensor, rows []int) (*eval.Grounding, error) {
	samples := make([]data.Sample, len(rows))
	for i, row := range rows {
		e, err := s.Eval.Data.Record(row)
		if err != nil {
			return nil, err
		}
		if len(e.Captions) > 0 {
			samples[i].Caption = e.Captions[0]
		} else {
			samples[i].Question = &e.Questions[0]
		}
	}
	samples, err := s.texts.samples(ctx, samples)
	if err != nil {
		return nil, err
	}
	examples := make([]adapters.Example, len(rows))
	for i, sample := range samples {
		if q := sample.Question; q != nil {
			examples[i] = s.Plan.Templates.QuestionExample(i, q.Question, q.Answer)
		} else {
			examples[i] = s.evalExample(i, sample.Caption)
		}
	}
	g, err := eval.MeasureGrounding(ctx, s.model(), features.Slice(0, len(rows)), examples)
	return &g, namePicture(s.Eval.Data, rows, err)
}

// evalExample returns the example by which the objective of the run's last phase measures
// the loss of a caption.
func (s *Session) evalExample(i int, caption string) adapters.Example {
	last := s.Plan.Phases[len(s.Plan.Phases)-1]
	return last.Objective.EvalExample(s.Plan.Templates, i, caption)
}

func (s *Session) model() *bridge.Model { return &bridge.Model{Bridge: s.Bridge, Language: s.Language} }

// writeCaptions generates captions for rows of the evaluation set, whose features come
// first in features, and measures them.
func (s *Session) writeCaptions(ctx context.Context, scores *Scores, features *adapters.Tensor, rows []int) (err error) {
	n := len(rows)
	if n == 0 {
		return nil
	}
	first, err := s.firstCaptions(rows)
	if err != nil {
		return err
	}
	if scores.samples, err = eval.Captions(ctx, s.model(), features.Slice(0, n), first); err != nil {
		return namePicture(s.Eval.Data, rows, err)
	}
	got, references := make([]string, n), make([][]string, n)
	for i, row := range rows {
		record, err := s.Eval.Data.Record(row)
		if err != nil {
			return err
		}
		scores.samples[i].Index, scores.samples[i].Kind = row, record.Kind
		got[i], references[i] = scores.samples[i].Got, record.Captions
	}
	scores.Captions, scores.ByKind, scores.Values = n, eval.MatchByKind(scores.samples), eval.Values{}
	for _, m := range s.evalMetrics() {
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
