package score

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// vsrCategories are VSR's categories of relations (cambridgeltl/visual-spatial-reasoning,
// analysis_scripts/rel_meta_category_dict.txt).
var vsrCategories = map[string][]string{
	"adjacency": {"adjacent to", "alongside", "at the side of", "at the right side of", "at the left side of", "attached to",
		"at the back of", "ahead of", "against", "at the edge of"},
	"directional": {"off", "past", "toward", "down", "deep down", "up", "away from", "along", "around", "from", "into", "to",
		"across", "across from", "through", "down from"},
	"orientation": {"facing", "facing away from", "parallel to", "perpendicular to"},
	"projective": {"on top of", "beneath", "beside", "behind", "left of", "right of", "under", "in front of", "below", "above",
		"over", "in the middle of"},
	"proximity": {"by", "close to", "near", "far from", "far away from"},
	"topological": {"connected to", "detached from", "has as a part", "part of", "contains", "within", "at", "on", "in", "with",
		"surrounding", "consists of", "out of", "between", "inside", "outside", "touching"},
	"unallocated": {"beyond", "next to", "opposite to", "after", "among", "enclosed by"},
}

// vsrCategory returns the category of a relation; "" if VSR has none.
func vsrCategory(relation string) string {
	for name, relations := range vsrCategories {
		if slices.Contains(relations, relation) {
			return name
		}
	}
	return ""
}

// scoreVSR scores VSR's true and false captions: predictions are 1 or 0, one a line, in the order of
// the annotations, as VSR's eval.py writes them (preds.txt).
func scoreVSR(_ context.Context, o Options) (*Result, error) {
	type caption struct {
		Label    *int   `json:"label"`
		Relation string `json:"relation"`
	}
	const want = `{"image": …, "caption": …, "label": 0 or 1, "relation": …}, one a line`
	captions, err := decodeList[caption](o.Annotations, want)
	if err != nil {
		return nil, err
	}
	said, err := readLabels(o.Predictions, len(captions))
	if err != nil {
		return nil, err
	}
	right, relations, categories := make([]float64, len(captions)), make([]string, len(captions)), make([]string, len(captions))
	for n, c := range captions {
		if c.Label == nil || *c.Label != 0 && *c.Label != 1 {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d has no label 0 or 1", o.Annotations, n).WithRemedy("want %s", want)
		}
		if said[n] == *c.Label {
			right[n] = 1
		}
		relations[n], categories[n] = c.Relation, vsrCategory(c.Relation)
	}
	r := &Result{Task: VSR, N: len(captions)}
	r.Figures = append(r.Figures, percent("accuracy", "accuracy", right))
	r.Figures = append(r.Figures, groups("accuracy", "accuracy", "category", categories, right)...)
	r.Figures = append(r.Figures, groups("accuracy", "accuracy", "relation", relations, right)...)
	return r, nil
}

// readLabels reads n labels, 0 or 1, one a line.
func readLabels(path string, n int) ([]int, error) {
	data, err := readText(path)
	if err != nil {
		return nil, err
	}
	var labels []int
	for line := range strings.Lines(strings.TrimRight(string(data), "\r\n")) {
		line = strings.TrimSpace(line)
		if line != "0" && line != "1" {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: line %d is %.40q, want 0 or 1", path, len(labels)+1, line).
				WithRemedy("give a label a line, in the order of the annotations")
		}
		labels = append(labels, int(line[0]-'0'))
	}
	if len(labels) != n {
		return nil, adapters.Errorf(adapters.Invalid, "%s has %d labels for %d captions", path, len(labels), n).
			WithRemedy("labels have no ids, so they must be those of all captions, in their order")
	}
	return labels, nil
}

// meme is a prediction of HatefulMemes.
type meme struct {
	probability float64
	label       string // "0", "1", or "" if the file has no column label
}

// scoreHatefulMemes scores the probabilities that memes are hateful by ROC-AUC, and labels by
// accuracy if the file has them. A missing prediction counts as sure and wrong.
func scoreHatefulMemes(_ context.Context, o Options) (*Result, error) {
	ids, truth, err := readMemes(o.Annotations)
	if err != nil {
		return nil, err
	}
	got, err := readMemePredictions(o.Predictions)
	if err != nil {
		return nil, err
	}
	memes, found, err := got.pair(ids, o.AllowMissing)
	if err != nil {
		return nil, err
	}
	scores, right, labels := make([]float64, len(ids)), make([]float64, len(ids)), false
	for n, m := range memes {
		switch {
		case found[n]:
			scores[n] = m.probability
		default:
			scores[n] = sureAndWrong(truth[n])
		}
		labels = labels || m.label != ""
		if found[n] && (m.label == "1") == truth[n] {
			right[n] = 1
		}
	}
	r := &Result{Task: HatefulMemes, N: len(ids), Counts: got.counts}
	r.Figures = append(r.Figures, rocFigure(scores, truth))
	if labels {
		r.Figures = append(r.Figures, percent("accuracy", "accuracy", right))
	}
	return r, nil
}

// sureAndWrong returns the score of an example without a prediction.
func sureAndWrong(positive bool) float64 {
	if positive {
		return math.Inf(-1)
	}
	return math.Inf(1)
}

// rocFigure returns ROC-AUC.
func rocFigure(scores []float64, truth []bool) Figure {
	return percentOf("roc_auc", "ROC-AUC", len(scores), func(rows []int) float64 {
		return metrics.ROCAUC(picked(scores, rows), picked(truth, rows))
	})
}

// readMemes reads the ids of HatefulMemes and whether each is hateful.
func readMemes(path string) (ids []id, truth []bool, err error) {
	type annotation struct {
		ID    *id  `json:"id"`
		Label *int `json:"label"`
	}
	const want = `{"id": …, "img": …, "label": 0 or 1, "text": …}, one a line`
	memes, err := decodeList[annotation](path, want)
	if err != nil {
		return nil, nil, err
	}
	for n, m := range memes {
		if m.ID == nil || m.Label == nil || *m.Label != 0 && *m.Label != 1 {
			return nil, nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d lacks id, or a label 0 or 1", path, n).
				WithRemedy("want %s; the test files of the challenge have no labels", want)
		}
		ids, truth = append(ids, memeID(m.ID.String())), append(truth, *m.Label == 1)
	}
	return ids, truth, unique(path, "id", ids)
}

// memeID returns a meme's id without leading zeros: files of the challenge have both forms.
func memeID(text string) id {
	if short := strings.TrimLeft(text, "0"); short != "" {
		return id(short)
	}
	return "0"
}

// memeColumns describes the challenge's CSV.
const memeColumns = "want a header id,proba,label and a meme a line; label may be missing"

// readMemePredictions reads the challenge's CSV, whose header names the columns.
func readMemePredictions(path string) (*predictionsOf[meme], error) {
	data, err := readText(path)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(data))
	header, err := r.Read()
	if err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s is not a CSV file: %w", path, err).WithRemedy(memeColumns)
	}
	column := map[string]int{}
	for i, name := range header {
		column[strings.TrimSpace(name)] = i
	}
	for _, name := range []string{"id", "proba"} {
		if _, ok := column[name]; !ok {
			return nil, adapters.Errorf(adapters.Corrupt, "%s has the columns %q, without %s", path, header, name).WithRemedy(memeColumns)
		}
	}
	p := &predictionsOf[meme]{path: path}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", path, err).WithRemedy(memeColumns)
		}
		m, err := readMeme(row, column)
		if err != nil {
			line, _ := r.FieldPos(0)
			return nil, adapters.Errorf(adapters.Corrupt, "%s: line %d has %w", path, line, err).WithRemedy(memeColumns)
		}
		if err := p.add("meme", memeID(strings.TrimSpace(row[column["id"]])), m); err != nil {
			return nil, err
		}
	}
}

// readMeme reads the prediction of a row.
func readMeme(row []string, column map[string]int) (m meme, err error) {
	text := strings.TrimSpace(row[column["proba"]])
	m.probability, err = strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(m.probability) || math.IsInf(m.probability, 0) {
		return m, fmt.Errorf("the proba %.40q, want a number", text)
	}
	if i, ok := column["label"]; ok {
		if m.label = strings.TrimSpace(row[i]); m.label != "0" && m.label != "1" {
			return m, fmt.Errorf("the label %.40q, want 0 or 1", m.label)
		}
	}
	return m, nil
}
