package train

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
)

// Scores is what an evaluation found on held-out data.
type Scores struct {
	Step       int             `json:"step"`                // optimizer steps of all stages so far
	Seconds    float64         `json:"seconds"`             // of training, evaluation not counted
	Grounding  *eval.Grounding `json:"grounding,omitempty"` // stage 2; Right is the held-out loss
	ExactMatch *float64        `json:"exact_match,omitempty"`
	Captions   int             `json:"captions,omitempty"`  // that the exact match is of
	Retrieval  *eval.Retrieval `json:"retrieval,omitempty"` // stage 1

	ByKind  map[string]eval.Rate `json:"exact_match_by_kind,omitempty"` // of what is shown
	samples []eval.Caption
}

// HeldOutLoss is the mean loss per caption token with the right picture.
func (s Scores) HeldOutLoss() float64 {
	if s.Grounding == nil {
		return 0
	}
	return s.Grounding.Right
}

// evaluate measures the bridge as it is, on the first pictures of the held-out
// set that have a caption; captions is how many are generated, rerank how many
// candidates ITM ranks again.
func (s *Session) evaluate(ctx context.Context, captions, rerank int) (Scores, error) {
	scores := Scores{Step: s.done, Seconds: s.clock.Seconds()}
	rows := s.captioned(max(s.Plan.Evaluation.Examples, captions))
	n := min(s.Plan.Evaluation.Examples, len(rows))
	if n < 2 {
		return scores, nil
	}
	features, err := s.Held.Features.Features(ctx, rows)
	if err != nil {
		return scores, err
	}
	truth := make([]string, len(rows))
	for i, row := range rows {
		truth[i] = s.Held.Data.Example(row).Captions[0]
	}
	if s.Bridge.Info.Stage == 1 {
		scores.Retrieval, err = eval.MeasureRetrieval(ctx, s.Bridge, features.Slice(0, n), truth[:n], rerank)
	} else {
		err = s.evaluateGenerative(ctx, &scores, features, truth, n, rows[:min(captions, len(rows))])
	}
	if err != nil {
		return scores, err
	}
	return scores, s.publish(scores)
}

// captioned returns the first n rows of the held-out set that have a caption, or
// all where there are fewer.
func (s *Session) captioned(n int) []int {
	var rows []int
	for i := 0; i < s.Held.Data.Len() && len(rows) < n; i++ {
		if len(s.Held.Data.Example(i).Captions) > 0 {
			rows = append(rows, i)
		}
	}
	return rows
}

// evaluateGenerative measures the loss of the first n rows of features, and
// captions those of `rows`, which are the features' rows in the data set.
func (s *Session) evaluateGenerative(ctx context.Context, scores *Scores, features *adapters.Tensor, truth []string, n int, rows []int) error {
	m := &bridge.Model{Bridge: s.Bridge, Language: s.Language}
	g, err := eval.MeasureGrounding(ctx, m, features.Slice(0, n), truth[:n])
	if err != nil {
		return err
	}
	scores.Grounding = &g
	captions := len(rows)
	if captions == 0 {
		return nil
	}
	if scores.samples, err = eval.Captions(ctx, m, features.Slice(0, captions), truth[:captions]); err != nil {
		return err
	}
	for i, row := range rows {
		scores.samples[i].Index, scores.samples[i].Kind = row, s.Held.Data.Example(row).Kind
	}
	match := eval.ExactMatch(scores.samples)
	scores.ExactMatch, scores.Captions, scores.ByKind = &match, captions, eval.MatchByKind(scores.samples)
	return nil
}

// publish writes scores to the metrics and to the screen.
func (s *Session) publish(scores Scores) error {
	s.scores = append(s.scores, scores)
	values := map[string]float64{}
	if g := scores.Grounding; g != nil {
		values["held_out/loss"], values["held_out/loss_other_picture"], values["held_out/loss_no_picture"] = g.Right, g.Other, g.None
	}
	if scores.ExactMatch != nil {
		values["held_out/exact_match"] = *scores.ExactMatch
	}
	if r := scores.Retrieval; r != nil {
		values["held_out/text_r1"], values["held_out/image_r1"] = r.TextR1, r.ImageR1
	}
	return s.Metrics.Write(s.done, s.clock, values)
}
