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
	CIDErD     *float64        `json:"cider_d,omitempty"`
	Captions   int             `json:"captions,omitempty"`  // that exact match and CIDEr-D are of
	Retrieval  *eval.Retrieval `json:"retrieval,omitempty"` // stage 1

	ByKind map[string]eval.Rate `json:"exact_match_by_kind,omitempty"` // of what is shown

	samples []eval.Caption
}

// HeldOutLoss is the mean loss per target token with the right picture.
func (s Scores) HeldOutLoss() float64 {
	if s.Grounding == nil {
		return 0
	}
	return s.Grounding.Right
}

// evaluate measures the bridge as it is, on the first probes of the held-out
// set; captions is how many are generated, rerank how many candidates ITM ranks
// again.
func (s *Session) evaluate(ctx context.Context, captions, rerank int) (Scores, error) {
	scores := Scores{Step: s.done, Seconds: s.clock.Seconds()}
	rows := s.probes(max(s.Plan.Evaluation.Examples, captions))
	n := min(s.Plan.Evaluation.Examples, len(rows))
	if n < 2 {
		s.Log.Warn("nothing is evaluated: that takes two held-out pictures with a caption or a question", "data", s.Held.Data.Name(), "usable", len(rows))
		return scores, nil
	}
	features, err := s.Held.Features.Features(ctx, rows)
	if err != nil {
		return scores, err
	}
	if s.Bridge.Info.Stage == 1 {
		scores.Retrieval, err = eval.MeasureRetrieval(ctx, s.Bridge, features.Slice(0, n), s.captions(rows[:n]), rerank)
	} else if scores.Grounding, err = s.grounding(ctx, features, rows[:n]); err == nil && s.captioned(rows) {
		err = s.writeCaptions(ctx, &scores, features, rows[:min(captions, len(rows))])
	}
	if err != nil {
		return scores, err
	}
	return scores, s.publish(scores)
}

// probes returns the first n rows of the held-out set that have a caption or,
// where none has and the bridge can answer, those that have a question.
func (s *Session) probes(n int) []int {
	var captioned, asked []int
	for i := 0; i < s.Held.Data.Len() && len(captioned) < n; i++ {
		switch e := s.Held.Data.Example(i); {
		case len(e.Captions) > 0:
			captioned = append(captioned, i)
		case len(e.Questions) > 0 && len(asked) < n:
			asked = append(asked, i)
		}
	}
	if len(captioned) > 0 || s.Bridge.Info.Stage == 1 {
		return captioned
	}
	return asked
}

// captioned reports whether probes are captions.
func (s *Session) captioned(rows []int) bool {
	return len(rows) > 0 && len(s.Held.Data.Example(rows[0]).Captions) > 0
}

func (s *Session) captions(rows []int) []string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = s.Held.Data.Example(row).Captions[0]
	}
	return texts
}

// grounding measures the loss of the probes' captions, or of their answers.
func (s *Session) grounding(ctx context.Context, features *adapters.Tensor, rows []int) (*eval.Grounding, error) {
	examples := make([]adapters.Example, len(rows))
	for i, row := range rows {
		e := s.Held.Data.Example(row)
		if len(e.Captions) == 0 {
			examples[i] = s.Plan.Prompts.QuestionExample(i, e.Questions[0].Question, e.Questions[0].Answer)
			continue
		}
		caption, err := s.fit(ctx, e.Captions[0])
		if err != nil {
			return nil, err
		}
		examples[i] = s.captionExample(i, caption)
	}
	g, err := eval.MeasureGrounding(ctx, s.model(), features.Slice(0, len(rows)), examples)
	return &g, err
}

// captionExample asks for a caption as the run's last stage does.
func (s *Session) captionExample(i int, caption string) adapters.Example {
	if s.Plan.Stages[len(s.Plan.Stages)-1].Objective == LanguageModeling {
		return s.Plan.Prompts.BareExample(i, caption)
	}
	return s.Plan.Prompts.CaptionExample(i, caption)
}

func (s *Session) model() *bridge.Model { return &bridge.Model{Bridge: s.Bridge, Language: s.Language} }

// writeCaptions generates captions of the first pictures of features, which are
// the given rows of the held-out set.
func (s *Session) writeCaptions(ctx context.Context, scores *Scores, features *adapters.Tensor, rows []int) (err error) {
	n := len(rows)
	if n == 0 {
		return nil
	}
	if scores.samples, err = eval.Captions(ctx, s.model(), features.Slice(0, n), s.captions(rows)); err != nil {
		return err
	}
	got, references := make([]string, n), make([][]string, n)
	for i, row := range rows {
		e := s.Held.Data.Example(row)
		scores.samples[i].Index, scores.samples[i].Kind = row, e.Kind
		got[i], references[i] = scores.samples[i].Got, e.Captions
	}
	match := eval.ExactMatch(scores.samples)
	cider, _ := eval.CIDErD(got, references)
	scores.ExactMatch, scores.CIDErD, scores.Captions, scores.ByKind = &match, &cider, n, eval.MatchByKind(scores.samples)
	return nil
}

// heldOut begins the names of an evaluation's figures.
const heldOut = "held_out/"

// publish writes scores to the metrics and to the screen.
func (s *Session) publish(scores Scores) error {
	s.state.Lock()
	s.scores = append(s.scores, scores)
	s.state.Unlock()
	values := map[string]float64{}
	if g := scores.Grounding; g != nil {
		values[heldOut+"loss"], values[heldOut+"loss_other_picture"], values[heldOut+"loss_no_picture"] = g.Right, g.Other, g.None
	}
	if scores.ExactMatch != nil {
		values[heldOut+"exact_match"], values[heldOut+"cider_d"] = *scores.ExactMatch, *scores.CIDErD
	}
	if r := scores.Retrieval; r != nil {
		values[heldOut+"text_r1"], values[heldOut+"image_r1"] = r.TextR1, r.ImageR1
	}
	return s.Metrics.Write(s.done, s.clock, values)
}
