package train

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
)

// Scores holds the results of an evaluation.
type Scores struct {
	Step       int             `json:"step"`                // optimizer steps of all phases so far
	Seconds    float64         `json:"seconds"`             // of training, evaluation not counted
	Grounding  *eval.Grounding `json:"grounding,omitempty"` // stage 2; Right is the loss
	ExactMatch *float64        `json:"exact_match,omitempty"`
	CIDErD     *float64        `json:"cider_d,omitempty"`
	Captions   int             `json:"captions,omitempty"`  // that exact match and CIDEr-D are of
	Retrieval  *eval.Retrieval `json:"retrieval,omitempty"` // stage 1

	ByKind map[string]eval.Rate `json:"exact_match_by_kind,omitempty"` // of what is shown

	samples []eval.Caption
}

// EvalLoss returns the mean loss per target token with the right picture.
func (s Scores) EvalLoss() float64 {
	if s.Grounding == nil {
		return 0
	}
	return s.Grounding.Right
}

// evaluate measures the bridge on the first records of the evaluation set. captions is
// the number of captions to generate, rerank the number of candidates that ITM ranks
// again.
func (s *Session) evaluate(ctx context.Context, captions, rerank int) (Scores, error) {
	scores := Scores{Step: s.stepsDone, Seconds: s.clock.Seconds()}
	rows := s.evalRows(max(s.Plan.Evaluation.Examples, captions))
	n := min(s.Plan.Evaluation.Examples, len(rows))
	if n < 2 {
		s.Log.Warn("skipping evaluation: need at least two held-out pictures with a caption or question", "data", s.Eval.Data.Name(), "usable", len(rows))
		return scores, nil
	}
	features, err := s.Eval.Features.Features(ctx, rows)
	if err != nil {
		return scores, err
	}
	if s.Bridge.Info.Stage == 1 {
		scores.Retrieval, err = eval.MeasureRetrieval(ctx, s.Bridge, features.Slice(0, n), s.firstCaptions(rows[:n]), rerank)
	} else if scores.Grounding, err = s.grounding(ctx, features, rows[:n]); err == nil && s.haveCaptions(rows) {
		err = s.writeCaptions(ctx, &scores, features, rows[:min(captions, len(rows))])
	}
	if err != nil {
		return scores, err
	}
	return scores, s.publish(scores)
}

// evalRows returns the first n rows of the evaluation set that have a caption. If none
// has one and the bridge can answer, it returns the first n that have a question.
func (s *Session) evalRows(n int) []int {
	var captioned, questioned []int
	for i := 0; i < s.Eval.Data.Len() && len(captioned) < n; i++ {
		switch e := s.Eval.Data.Record(i); {
		case len(e.Captions) > 0:
			captioned = append(captioned, i)
		case len(e.Questions) > 0 && len(questioned) < n:
			questioned = append(questioned, i)
		}
	}
	if len(captioned) > 0 || s.Bridge.Info.Stage == 1 {
		return captioned
	}
	return questioned
}

// haveCaptions reports whether rows that evalRows returned have captions.
func (s *Session) haveCaptions(rows []int) bool {
	return len(rows) > 0 && len(s.Eval.Data.Record(rows[0]).Captions) > 0
}

// firstCaptions returns the first caption of each row.
func (s *Session) firstCaptions(rows []int) []string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = s.Eval.Data.Record(row).Captions[0]
	}
	return texts
}

// grounding measures the loss of the rows' captions, or of their answers if they have
// no captions.
func (s *Session) grounding(ctx context.Context, features *adapters.Tensor, rows []int) (*eval.Grounding, error) {
	examples := make([]adapters.Example, len(rows))
	for i, row := range rows {
		e := s.Eval.Data.Record(row)
		if len(e.Captions) == 0 {
			examples[i] = s.Plan.Templates.QuestionExample(i, e.Questions[0].Question, e.Questions[0].Answer)
			continue
		}
		caption, err := s.truncate(ctx, e.Captions[0])
		if err != nil {
			return nil, err
		}
		examples[i] = s.evalExample(i, caption)
	}
	g, err := eval.MeasureGrounding(ctx, s.model(), features.Slice(0, len(rows)), examples)
	return &g, err
}

// evalExample returns an example that asks for a caption as the run's last phase does.
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
	if scores.samples, err = eval.Captions(ctx, s.model(), features.Slice(0, n), s.firstCaptions(rows)); err != nil {
		return err
	}
	got, references := make([]string, n), make([][]string, n)
	for i, row := range rows {
		e := s.Eval.Data.Record(row)
		scores.samples[i].Index, scores.samples[i].Kind = row, e.Kind
		got[i], references[i] = scores.samples[i].Got, e.Captions
	}
	match := eval.ExactMatch(scores.samples)
	cider, _ := eval.CIDErD(got, references)
	scores.ExactMatch, scores.CIDErD, scores.Captions, scores.ByKind = &match, &cider, n, eval.MatchByKind(scores.samples)
	return nil
}

// evalPrefix begins the names of series that evaluations write.
const evalPrefix = "held_out/"

// publish appends scores to the run's and writes them to the metrics.
func (s *Session) publish(scores Scores) error {
	s.state.Lock()
	s.scores = append(s.scores, scores)
	s.state.Unlock()
	values := map[string]float64{}
	if g := scores.Grounding; g != nil {
		values[evalPrefix+"loss"], values[evalPrefix+"loss_other_picture"], values[evalPrefix+"loss_no_picture"] = g.Right, g.Other, g.None
	}
	if scores.ExactMatch != nil {
		values[evalPrefix+"exact_match"], values[evalPrefix+"cider_d"] = *scores.ExactMatch, *scores.CIDErD
	}
	if r := scores.Retrieval; r != nil {
		values[evalPrefix+"text_r1"], values[evalPrefix+"image_r1"] = r.TextR1, r.ImageR1
	}
	return s.Metrics.Write(s.stepsDone, s.clock, values)
}
