package train

import (
	"bytes"
	"encoding/json"

	"github.com/modular-bridging/bridge/eval"
)

// Scores holds the results of one evaluation of a run. In JSON the values of captions'
// metrics are members of the object, beside the others: a new metric is a new key.
type Scores struct {
	Step    int     // optimizer steps of all phases so far
	Seconds float64 // of training so far, without evaluation
	eval.Results

	samples  []eval.Caption
	pictures []PictureScore
}

// scoresBefore and scoresAfter are the members of the JSON before and after the values.
type (
	scoresBefore struct {
		Step      int             `json:"step"`
		Seconds   float64         `json:"seconds"`
		Grounding *eval.Grounding `json:"grounding,omitempty"`
	}
	scoresAfter struct {
		Captions  int                  `json:"captions,omitempty"`
		Retrieval *eval.Retrieval      `json:"retrieval,omitempty"`
		ByKind    map[string]eval.Rate `json:"exact_match_by_kind,omitempty"`
	}
)

// MarshalJSON implements [json.Marshaler].
func (s Scores) MarshalJSON() ([]byte, error) {
	var members [][]byte
	for _, part := range []any{
		scoresBefore{s.Step, s.Seconds, s.Grounding}, s.Values, scoresAfter{s.Captions, s.Retrieval, s.ByKind},
	} {
		object, err := json.Marshal(part)
		if err != nil {
			return nil, err
		}
		if inner := object[1 : len(object)-1]; len(inner) > 0 {
			members = append(members, inner)
		}
	}
	return append(append([]byte{'{'}, bytes.Join(members, []byte{','})...), '}'), nil
}

// UnmarshalJSON implements [json.Unmarshaler]. Numbers under other keys than those of the
// struct's fields are values of metrics.
func (s *Scores) UnmarshalJSON(data []byte) error {
	var before scoresBefore
	var after scoresAfter
	var members map[string]json.RawMessage
	for _, target := range []any{&before, &after, &members} {
		if err := json.Unmarshal(data, target); err != nil {
			return err
		}
	}
	*s = Scores{Step: before.Step, Seconds: before.Seconds, Results: eval.Results{
		Grounding: before.Grounding, Captions: after.Captions, Retrieval: after.Retrieval, ByKind: after.ByKind,
	}}
	for _, field := range []string{"step", "seconds", "captions"} {
		delete(members, field)
	}
	for name, text := range members {
		var value float64
		if json.Unmarshal(text, &value) != nil || string(text) == "null" {
			continue
		}
		if s.Values == nil {
			s.Values = eval.Values{}
		}
		s.Values[name] = value
	}
	return nil
}
