package runs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/cost"
)

// Summary summarizes a finished run; summary.json has it as JSON. There, each metric of Values
// is a member of the object, so a new metric of package eval is a new key.
type Summary struct {
	Name      string `json:"name"`
	Stage     int    `json:"stage"`
	Encoder   string `json:"encoder"`
	LLM       string `json:"llm,omitempty"`
	Trainable int    `json:"trainable_parameters"`
	Frozen    int64  `json:"frozen_parameters,omitempty"`
	// Memory is an estimate in bytes: the frozen weights, and the weights, gradients and two
	// moments of the trained parameters.
	Memory   int64   `json:"memory_bytes,omitempty"`
	Steps    int     `json:"steps"`
	Seconds  float64 `json:"seconds"`                 // of training, including the initialization of the projection
	Captions int     `json:"captions,omitempty"`      // number of captions that the metrics of captions are computed on
	EvalData string  `json:"held_out_data,omitempty"` // name and digest

	RerankedT *float64 `json:"text_r1_reranked,omitempty"` // after ITM; stage 1
	RerankedI *float64 `json:"image_r1_reranked,omitempty"`

	Grounding *eval.Grounding      `json:"grounding,omitempty"`
	ByKind    map[string]eval.Rate `json:"exact_match_by_kind,omitempty"` // by kind of picture
	Answers   map[string]eval.Rate `json:"answers,omitempty"`             // by kind of question

	Also  []SetSummary       `json:"also,omitempty"`  // the same measures on further held-out data
	Until *train.UntilResult `json:"until,omitempty"` // how the run ended, if its recipe has evaluation.until
	Cost  cost.Ledger        `json:"cost,omitempty"`  // what the run computed, by phase; nil if it was not counted

	Values eval.Values `json:"-"` // metrics for which higher or lower is better, by name
}

// SetSummary summarizes a run's last evaluation on one of the sets of evaluation.also.
type SetSummary struct {
	Data      string               `json:"data"` // name and digest
	Captions  int                  `json:"captions,omitempty"`
	Grounding *eval.Grounding      `json:"grounding,omitempty"`
	ByKind    map[string]eval.Rate `json:"exact_match_by_kind,omitempty"`
	Answers   map[string]eval.Rate `json:"answers,omitempty"`
	Values    eval.Values          `json:"metrics"` // for which higher or lower is better, by name
}

// Value returns a metric on the set. The second result is false if the run did not measure it.
func (s SetSummary) Value(m eval.Metric) (float64, bool) {
	if v, ok := s.Values[m.Name]; ok {
		return v, true
	}
	return m.Of(eval.Results{Grounding: s.Grounding})
}

// summarizeSets returns the summaries of results on further sets.
func summarizeSets(results []train.SetResult) []SetSummary {
	var all []SetSummary
	for _, r := range results {
		all = append(all, SetSummary{Data: r.Data, Captions: r.Scores.Captions, Grounding: r.Scores.Grounding,
			ByKind: r.Scores.ByKind, Answers: r.Answers, Values: summaryValues(r.Scores.Results, nil)})
	}
	return all
}

// plainSummary is a Summary without its JSON methods.
type plainSummary Summary

// MarshalJSON implements [json.Marshaler].
func (s Summary) MarshalJSON() ([]byte, error) {
	object, err := json.Marshal(plainSummary(s))
	if err != nil || len(s.Values) == 0 {
		return object, err
	}
	values, err := json.Marshal(s.Values)
	if err != nil {
		return nil, err
	}
	return slices.Concat(bytes.TrimSuffix(object, []byte("}")), []byte(","), bytes.TrimPrefix(values, []byte("{"))), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Summary) UnmarshalJSON(data []byte) error {
	var plain plainSummary
	var members map[string]json.RawMessage
	for _, target := range []any{&plain, &members} {
		if err := json.Unmarshal(data, target); err != nil {
			return err
		}
	}
	*s = Summary(plain)
	s.Values = eval.Values{}
	for _, m := range eval.Metrics() {
		text, ok := members[m.Name]
		if !ok {
			continue
		}
		var value float64
		if err := json.Unmarshal(text, &value); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		s.Values[m.Name] = value
	}
	return nil
}

// Value returns a metric of the run. The second result is false if the run did not measure it.
func (s Summary) Value(m eval.Metric) (float64, bool) {
	if v, ok := s.Values[m.Name]; ok {
		return v, true
	}
	return m.Of(eval.Results{Grounding: s.Grounding})
}

// summarize returns the summary of a finished run.
func (res *resources) summarize(r *recipes.Resolved, trained *bridge.Bridge, result train.Result) Summary {
	final, parameters := result.Final, trained.Config().Parameters(trained.Stage())
	s := Summary{
		Name: r.Name, Stage: r.Stage, Encoder: r.VisionModel.ID, Steps: result.Steps, Seconds: result.Seconds,
		Trainable: qformer.Count(r.Trained(parameters)),
		Captions:  final.Captions,
		EvalData:  res.eval.Describe(),
		Also:      summarizeSets(result.Also), Cost: result.Cost, Until: result.Until,
		Grounding: final.Grounding, ByKind: final.ByKind, Answers: result.Answers,
	}
	s.Frozen, s.Memory = res.vision.Spec().Parameters, res.vision.Spec().MemoryBytes+16*int64(qformer.Count(parameters))
	if r.LanguageModel != nil {
		s.LLM = r.LanguageModel.ID
		s.Frozen += res.language.Spec().Parameters
		s.Memory += res.language.Spec().MemoryBytes
	}
	s.Values = summaryValues(final.Results, trained.Info.Retrieval)
	if m := final.Retrieval; m != nil && m.Reranked > 0 {
		s.RerankedT, s.RerankedI = &m.TextR1Reranked, &m.ImageR1Reranked
	}
	return s
}

// summaryValues returns the metrics of an evaluation for which higher or lower is better. A
// stage-2 run has the retrieval metrics of the stage-1 bridge that it started from.
func summaryValues(final eval.Results, stage1 *bridge.Retrieval) eval.Values {
	values := eval.Values{}
	if stage1 != nil {
		values[eval.MetricTextR1], values[eval.MetricImageR1] = stage1.TextR1, stage1.ImageR1
	}
	for _, m := range eval.Metrics() {
		if v, ok := m.Of(final); ok && m.Better != eval.Neither {
			values[m.Name] = v
		}
	}
	return values
}

// SummaryHeader returns the column headings of [Summary.Cells].
func SummaryHeader() []string {
	header := []string{"run", "encoder", "llm", "trainable", "steps", "seconds"}
	for _, m := range eval.MetricsIn(eval.InSummary) {
		header = append(header, m.Column)
	}
	return header
}

// Cells returns the summary as a row of a table.
func (s Summary) Cells() []string {
	cells := []string{s.Name, s.Encoder, cmp.Or(s.LLM, "-"), registry.Count(int64(s.Trainable)),
		strconv.Itoa(s.Steps), fmt.Sprintf("%.0f", s.Seconds)}
	for _, m := range eval.MetricsIn(eval.InSummary) {
		cell := "-"
		if v, ok := s.Value(m); ok {
			cell = m.Text(v)
		}
		cells = append(cells, cell)
	}
	return cells
}
