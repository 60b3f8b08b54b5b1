package eval

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Results holds what an evaluation measured. [Results.Value] gives each figure by name.
type Results struct {
	Grounding *Grounding // stage 2
	Retrieval *Retrieval // stage 1
	Values    Values     // metrics of captions
	Captions  int        // number of captions that Values are of
	ByKind    map[string]Rate
}

// Value returns the value of a metric: of one in [Metrics], or of another one of
// captions. It reports false if the evaluation did not measure it.
func (r Results) Value(name string) (float64, bool) {
	m, ok := MetricNamed(name)
	if !ok {
		m.Name = name
	}
	return m.Of(r)
}

// Values are metrics by name. Their JSON is an object in the order of [Metrics], with
// names that are not there at the end, sorted.
type Values map[string]float64

// MarshalJSON implements [json.Marshaler].
func (v Values) MarshalJSON() ([]byte, error) {
	var names []string
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for _, name := range names {
		value, ok := v[name]
		if !ok {
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		member, err := json.Marshal(map[string]float64{name: value})
		if err != nil {
			return nil, err
		}
		out.Write(member[1 : len(member)-1])
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
