package recipes

import (
	"cmp"
	"slices"

	"github.com/modular-bridging/bridge/train"
)

// Evaluation is the table [evaluation]: what is measured on the held-out data.
type Evaluation struct {
	// Every is the number of steps between evaluations. Default 0: at the end of a stage
	// only.
	Every int `toml:"every"`
	// Examples is the number of examples for the loss, grounding and retrieval. Default
	// 256.
	Examples int `toml:"examples"`
	// Captions is the number of captions that are generated for the metrics of captions;
	// stage 2 only. Default 0: none.
	Captions int `toml:"captions"`
	// FinalCaptions is Captions for the evaluation at the end of the run. Default 0:
	// Captions.
	FinalCaptions int `toml:"final_captions,omitzero"`
	// Answers says whether the run, at its end, answers all questions about as many pictures as
	// Examples; stage 2 only. The kit has four or five questions for each picture, which take as
	// long as captions. Default true.
	Answers *bool `toml:"answers"`
	// Rerank is the number of best candidates by ITC that ITM ranks again at the end, of
	// each picture and each text; stage 1 only. 0 ranks none again. Default 16 in stage 1.
	Rerank int `toml:"rerank,omitzero"`
	// Also lists further data sets of the kit, such as ["kit:report", "kit:style"]. The run is
	// evaluated on each of them at its end, on as many pictures as on data.eval, with the same
	// measures. Default: none.
	Also []string `toml:"also,omitempty"`
	// Until ends the run before optimizer.steps, at an evaluation that reaches a value, or if the
	// evaluations no longer come nearer to it: "exact match 0.95", "CIDEr-D 1.2", "loss 0.02", or
	// "old" for the exact match of the bridge in from (its CIDEr-D if its exact match is below
	// 0.5), measured on the same captions. The learning rate then falls to its end over a tenth of
	// the steps done. With Until, 0 for Every means a twentieth of the steps, and 0 for Captions
	// means FinalCaptions or else Examples. Captions is at least 100, or FinalCaptions if that is less.
	// Stage 2 only. Default: none, all steps are made.
	Until string `toml:"until,omitempty"`
}

func defaultEvaluation(stage int64) Evaluation {
	e := Evaluation{Examples: 256}
	if stage == 1 {
		e.Rerank = 16
	}
	return e
}

func (r *Recipe) checkEvaluation() {
	e := r.Evaluation
	r.want("evaluation.every", e.Every >= 0, "is %d, want steps, or 0 for the end of a stage only", e.Every)
	r.want("evaluation.examples", e.Examples > 0, "is %d, want a positive number", e.Examples)
	r.want("evaluation.captions", e.Captions >= 0, "is %d, want at least 0", e.Captions)
	r.want("evaluation.captions", r.Stage != 1 || e.Captions == 0 && e.FinalCaptions == 0,
		"is given, but stage 1 has no language model to write captions")
	r.want("evaluation.answers", r.Stage != 1 || e.Answers == nil, "is given, but stage 1 has no language model to answer questions")
	r.want("evaluation.final_captions", e.FinalCaptions >= 0, "is %d, want at least 0", e.FinalCaptions)
	r.checkAlso()
	r.checkUntil()
	r.want("evaluation.rerank", e.Rerank >= 0, "is %d, want at least 0", e.Rerank)
	r.want("evaluation.rerank", r.Stage == 1 || e.Rerank == 0, "is given, but only a stage-1 bridge has ITM to rank with")
}

// untilCaptions is the fewest captions that decide whether a run ends: the standard error of an exact
// match of 0.95 is 0.02 with them.
const untilCaptions = 100

// plan returns the plan's evaluation, of a run with some steps in all phases.
func (e Evaluation) plan(steps int) train.Evaluation {
	p := train.Evaluation{Every: e.Every, Examples: e.Examples, Captions: e.Captions, FinalCaptions: e.FinalCaptions, Rerank: e.Rerank,
		NoAnswers: e.Answers != nil && !*e.Answers}
	if e.Until != "" {
		p.Every = cmp.Or(p.Every, max(1, steps/20))
		last := cmp.Or(p.FinalCaptions, p.Captions, p.Examples)
		p.Captions = max(p.Captions, min(untilCaptions, last))
		if e.Captions == 0 {
			p.Captions = last
		}
	}
	return p
}

// checkAlso checks the further data sets.
func (r *Recipe) checkAlso() {
	for i, id := range r.Evaluation.Also {
		r.oneOf("evaluation.also", id, kitSets()...)
		r.want("evaluation.also", id != r.Data.Eval.ID, "has %q, which is data.eval: the run is evaluated on it anyway", id)
		r.want("evaluation.also", id != r.Data.Train.ID, "has %q, which is data.train, want data that is held out of training", id)
		r.want("evaluation.also", !slices.Contains(r.Evaluation.Also[:i], id), "has %q twice", id)
	}
}
