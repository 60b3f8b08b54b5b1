package score

import (
	"context"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// The layouts of Winoground: of its examples.jsonl, and of the scores in its own notebook.
const (
	winogroundExamples = `{"id": …, "caption_0": …, "caption_1": …, "collapsed_tag": …}, one a line (examples.jsonl)`
	winogroundScores   = `{"id": …, "c0_i0": …, "c0_i1": …, "c1_i0": …, "c1_i1": …}, one a line or in a list; c0_i1 is the score of caption 0 with picture 1`
)

// winogroundExample is an example of Winoground: its id and its tags.
type winogroundExample struct {
	ID         *id    `json:"id"`
	Tag        string `json:"collapsed_tag"`
	Secondary  string `json:"secondary_tag"`
	Predicates *int   `json:"num_main_preds"`
}

// scoreWinoground scores the four scores of each example: whether its pictures, its captions, or
// both are told apart.
func scoreWinoground(_ context.Context, o Options) (*Result, error) {
	examples, ids, err := readWinogroundExamples(o.Annotations)
	if err != nil {
		return nil, err
	}
	got, err := readWinogroundScores(o.Predictions)
	if err != nil {
		return nil, err
	}
	scores, found, err := got.pair(ids, o.AllowMissing)
	if err != nil {
		return nil, err
	}
	figures, group := winogroundFigures(scores, found)
	r := &Result{Task: Winoground, N: len(ids), Counts: got.counts, Figures: figures}
	for _, by := range []struct {
		name string
		of   func(winogroundExample) string
	}{
		{"tag", func(e winogroundExample) string { return e.Tag }},
		{"secondary_tag", func(e winogroundExample) string { return e.Secondary }},
		{"main_predicates", winogroundExample.predicates},
	} {
		names := make([]string, len(examples))
		for n, e := range examples {
			names[n] = by.of(e)
		}
		r.Figures = append(r.Figures, groups("group", "group score", by.name, names, group)...)
	}
	return r, nil
}

// winogroundFigures returns the text, image and group scores of examples, and the group score of each.
// An example that was not found counts 0.
func winogroundFigures(scores [][2][2]float64, found []bool) (figures []Figure, group []float64) {
	text, image := make([]float64, len(scores)), make([]float64, len(scores))
	group = make([]float64, len(scores))
	for n := range scores {
		if found[n] {
			w := metrics.WinogroundOf(scores[n : n+1])
			text[n], image[n], group[n] = w.Text/100, w.Image/100, w.Group/100
		}
	}
	return []Figure{percent("text", "text score", text), percent("image", "image score", image), percent("group", "group score", group)}, group
}

// predicates returns the number of main predicates as a text; "" if it is not given.
func (e winogroundExample) predicates() string {
	if e.Predicates == nil {
		return ""
	}
	return fmt.Sprint(*e.Predicates)
}

// readWinogroundExamples reads the examples and their ids.
func readWinogroundExamples(path string) ([]winogroundExample, []id, error) {
	examples, err := decodeList[winogroundExample](path, winogroundExamples)
	if err != nil {
		return nil, nil, err
	}
	var ids []id
	for n, e := range examples {
		if e.ID == nil {
			return nil, nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d has no id", path, n).WithRemedy("want %s", winogroundExamples)
		}
		ids = append(ids, *e.ID)
	}
	return examples, ids, unique(path, "id", ids)
}

// readWinogroundScores reads the scores of examples: [c][i] is that of caption c with picture i.
func readWinogroundScores(path string) (*predictionsOf[[2][2]float64], error) {
	type entry struct {
		ID   *id      `json:"id"`
		C0I0 *float64 `json:"c0_i0"`
		C0I1 *float64 `json:"c0_i1"`
		C1I0 *float64 `json:"c1_i0"`
		C1I1 *float64 `json:"c1_i1"`
	}
	entries, err := decodeList[entry](path, winogroundScores)
	if err != nil {
		return nil, err
	}
	p := &predictionsOf[[2][2]float64]{path: path}
	for n, e := range entries {
		if e.ID == nil || e.C0I0 == nil || e.C0I1 == nil || e.C1I0 == nil || e.C1I1 == nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d lacks id or one of its four scores", path, n).WithRemedy("want %s", winogroundScores)
		}
		if err := p.add("example", *e.ID, [2][2]float64{{*e.C0I0, *e.C0I1}, {*e.C1I0, *e.C1I1}}); err != nil {
			return nil, err
		}
	}
	return p, nil
}
