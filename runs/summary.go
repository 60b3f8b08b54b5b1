package runs

import (
	"fmt"
	"strconv"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
)

// Summary is a finished run in one line: summary.json.
type Summary struct {
	Name       string   `json:"name"`
	Stage      int      `json:"stage"`
	Encoder    string   `json:"encoder"`
	LLM        string   `json:"llm,omitempty"`
	Trainable  int      `json:"trainable_parameters"`
	Frozen     int64    `json:"frozen_parameters,omitempty"`
	Memory     int64    `json:"memory_bytes,omitempty"` // an estimate: the frozen weights, and of what is trained weights, gradients and two moments
	Steps      int      `json:"steps"`
	Seconds    float64  `json:"seconds"` // of training, the initialisation of the projection included
	EvalLoss   *float64 `json:"held_out_loss,omitempty"`
	ExactMatch *float64 `json:"exact_match,omitempty"`
	Captions   int      `json:"captions,omitempty"` // that the exact match is computed on
	EvalData   string   `json:"held_out_data,omitempty"`
	CIDErD     *float64 `json:"cider_d,omitempty"`
	RetrievalT *float64 `json:"text_r1,omitempty"`
	RetrievalI *float64 `json:"image_r1,omitempty"`
	RerankedT  *float64 `json:"text_r1_reranked,omitempty"` // after ITM; stage 1
	RerankedI  *float64 `json:"image_r1_reranked,omitempty"`

	Grounding *eval.Grounding      `json:"grounding,omitempty"`
	ByKind    map[string]eval.Rate `json:"exact_match_by_kind,omitempty"` // by kind of picture
	Answers   map[string]eval.Rate `json:"answers,omitempty"`             // by kind of question
}

// summarize returns the summary of a finished run.
func (res *resources) summarize(r *recipes.Resolved, trained *bridge.Bridge, result train.Result) Summary {
	s := Summary{Name: r.Name, Stage: r.Stage, Encoder: r.VisionModel.ID, Steps: result.Steps,
		Trainable: qformer.Count(trained.Config().Parameters(trained.Stage())),
		Seconds:   result.Seconds, ExactMatch: result.Final.ExactMatch, Captions: result.Final.Captions,
		EvalData: res.eval.Data.Name() + " " + res.eval.Data.Digest()[:8], CIDErD: result.Final.CIDErD,
		Grounding: result.Final.Grounding, ByKind: result.Final.ByKind, Answers: result.Answers}
	s.Frozen, s.Memory = res.vision.Spec().Parameters, res.vision.Spec().MemoryBytes+16*int64(s.Trainable)
	if r.LanguageModel != nil {
		s.LLM = r.LanguageModel.ID
		s.Frozen += res.language.Spec().Parameters
		s.Memory += res.language.Spec().MemoryBytes
	}
	if result.Final.Grounding != nil {
		loss := result.Final.EvalLoss()
		s.EvalLoss = &loss
	}
	if m := trained.Info.Retrieval; m != nil {
		s.RetrievalT, s.RetrievalI = &m.TextR1, &m.ImageR1
	}
	if m := result.Final.Retrieval; m != nil && m.Reranked > 0 {
		s.RerankedT, s.RerankedI = &m.TextR1Reranked, &m.ImageR1Reranked
	}
	return s
}

// SummaryHeader names the columns of [Summary.Cells].
func SummaryHeader() []string {
	return []string{"run", "encoder", "llm", "trainable", "steps", "seconds", "held-out loss", "exact match", "retrieval R@1"}
}

// Cells returns the summary as a row of a table.
func (s Summary) Cells() []string {
	return []string{s.Name, s.Encoder, OrDash(s.LLM), registry.Count(int64(s.Trainable)), strconv.Itoa(s.Steps),
		fmt.Sprintf("%.0f", s.Seconds), decimals(s.EvalLoss), decimals(s.ExactMatch), decimals(s.RetrievalT)}
}

func decimals(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f", *v)
}

// OrDash returns s, or "-" if it is empty.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
