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
	samples    []eval.Caption
}

// HeldOutLoss is the mean loss per caption token with the right picture.
func (s Scores) HeldOutLoss() float64 {
	if s.Grounding == nil {
		return 0
	}
	return s.Grounding.Right
}

// evaluate measures the bridge as it is, on the first examples of the held-out
// set; captions is how many are generated.
func (s *Session) evaluate(ctx context.Context, captions int) (Scores, error) {
	scores := Scores{Step: s.done, Seconds: s.clock.Seconds()}
	n := min(s.Plan.Evaluation.Examples, s.Held.Data.Len())
	if s.Held.Data.Len() < 2 || n < 2 {
		return scores, nil
	}
	captions = min(captions, s.Held.Data.Len())
	features, err := s.Held.Features.Features(ctx, span(0, max(n, captions)))
	if err != nil {
		return scores, err
	}
	truth := make([]string, features.Shape[0])
	for i := range truth {
		truth[i] = s.Held.Data.Example(i).Captions[0]
	}
	if s.Bridge.Info.Stage == 1 {
		scores.Retrieval, err = eval.MeasureRetrieval(ctx, s.Bridge, features.Slice(0, n), truth[:n], 0)
	} else {
		err = s.evaluateGenerative(ctx, &scores, features, truth, n, captions)
	}
	if err != nil {
		return scores, err
	}
	return scores, s.publish(scores)
}

func (s *Session) evaluateGenerative(ctx context.Context, scores *Scores, features *adapters.Tensor, truth []string, n, captions int) error {
	m := &bridge.Model{Bridge: s.Bridge, Language: s.Language}
	g, err := eval.MeasureGrounding(ctx, m, features.Slice(0, n), truth[:n])
	if err != nil {
		return err
	}
	scores.Grounding = &g
	if captions == 0 {
		return nil
	}
	scores.samples, err = eval.Captions(ctx, m, features.Slice(0, captions), truth[:captions])
	match := eval.ExactMatch(scores.samples)
	scores.ExactMatch, scores.Captions = &match, captions
	return err
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
