package score

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/eval/metrics/resample"
)

// readPOPETruth reads POPE's questions: their ids, whether the answer is yes, and their texts by id.
func readPOPETruth(path string) (ids []id, truth []bool, questionTexts map[id]string, err error) {
	type question struct {
		ID    *id     `json:"question_id"`
		Label *string `json:"label"`
		Text  string  `json:"text"`
	}
	const want = `{"question_id": …, "image": …, "text": …, "label": "yes" or "no"}, one a line`
	questions, err := decodeList[question](path, want)
	if err != nil {
		return nil, nil, nil, err
	}
	questionTexts = make(map[id]string, len(questions))
	for n, q := range questions {
		if q.ID == nil || q.Label == nil || *q.Label != "yes" && *q.Label != "no" {
			return nil, nil, nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d lacks question_id, or a label yes or no", path, n).WithRemedy("want %s", want)
		}
		ids, truth = append(ids, *q.ID), append(truth, *q.Label == "yes")
		questionTexts[*q.ID] = q.Text
	}
	return ids, truth, questionTexts, unique(path, "question_id", ids)
}

// scorePOPE scores answers to POPE's yes/no questions. Predictions have the question's id, or, as
// POPE's own script reads them, none: then line n answers question n.
func scorePOPE(_ context.Context, o Options) (*Result, error) {
	ids, truth, questionTexts, err := readPOPETruth(o.Annotations)
	if err != nil {
		return nil, err
	}
	got, err := readPOPE(o.Predictions, ids, questionTexts)
	if err != nil {
		return nil, err
	}
	texts, found, err := got.pair(ids, o.AllowMissing)
	if err != nil {
		return nil, err
	}
	said, right := make([]bool, len(texts)), make([]float64, len(texts))
	for i, text := range texts {
		said[i] = found[i] && metrics.POPEYes(text)
		if found[i] && said[i] == truth[i] {
			right[i] = 1
		}
	}
	return &Result{Task: POPE, N: len(texts), Counts: got.counts, Figures: popeFigures(said, truth, right)}, nil
}

// popeFigures returns the figures of answers that are yes or no. right has a 1 for each right one.
func popeFigures(said, truth []bool, right []float64) []Figure {
	out := []Figure{percent("accuracy", "accuracy", right)}
	for _, f := range []struct {
		key, title string
		of         func(metrics.Binary) float64
	}{
		{"precision", "precision of yes", func(b metrics.Binary) float64 { return b.Precision }},
		{"recall", "recall of yes", func(b metrics.Binary) float64 { return b.Recall }},
		{"f1", "F1", func(b metrics.Binary) float64 { return b.F1 }},
		{"yes_ratio", "answers that are yes", func(b metrics.Binary) float64 { return b.Positive }},
	} {
		out = append(out, percentOf(f.key, f.title, len(said), func(rows []int) float64 {
			return f.of(metrics.BinaryOf(picked(said, rows), picked(truth, rows)))
		}))
	}
	return out
}

// readPOPE reads predictions with ids under answer or text, or without ids in the order of
// questions. It refuses a text that repeats its question.
func readPOPE(path string, ids []id, questionTexts map[id]string) (*predictions, error) {
	entries, err := decodeList[entry](path, vqaLayout.String())
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 && entries[0].Answer == nil && entries[0].Text != nil {
		p, err := readPredictions(path, layout{"question_id", "text"})
		if err != nil {
			return nil, err
		}
		return p, noneIsAQuestion(p, questionTexts)
	}
	if slices.ContainsFunc(entries, func(e entry) bool { return e.QuestionID != nil }) {
		return readPredictions(path, vqaLayout)
	}
	if len(entries) != len(ids) {
		return nil, adapters.Errorf(adapters.Invalid, "%s has %d answers without question_id for %d questions", path, len(entries), len(ids)).
			WithRemedy("give each a question_id; without it, answers must be those of all questions, in their order")
	}
	p := &predictions{path: path}
	for n, e := range entries {
		if e.Answer == nil {
			return nil, missingKey(path, n, vqaLayout, &e)
		}
		if err := p.add("question_id", ids[n], *e.Answer); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// noneIsAQuestion returns an error if a prediction repeats the text of its question. POPE's own
// files have the question under text, where other programs write the answer.
func noneIsAQuestion(p *predictions, questionTexts map[id]string) error {
	for _, i := range p.order {
		if text := p.values[i]; text != "" && text == questionTexts[i] {
			return adapters.Errorf(adapters.Invalid, "%s: text of question %s is the question %q, not an answer", p.path, i, text).
				WithRemedy("give the answer under answer")
		}
	}
	return nil
}

// scoreMME scores a folder with a file CATEGORY.txt for each category of MME, with lines of
// picture, question, true answer and response, separated by tabs.
func scoreMME(_ context.Context, o Options) (*Result, error) {
	if info, err := os.Stat(o.Predictions); err != nil || !info.IsDir() {
		return nil, adapters.Errorf(adapters.NotFound, "there is no folder %s", o.Predictions).
			WithRemedy("give the folder with CATEGORY.txt for each of MME's 14 categories")
	}
	r := &Result{Task: MME}
	for _, group := range mmeGroups() {
		var scored []mmeCategory
		for _, name := range group.categories {
			c, err := readMME(filepath.Join(o.Predictions, name+".txt"), name)
			if errors.Is(err, fs.ErrNotExist) {
				if !o.AllowMissing {
					return nil, adapters.Errorf(adapters.Invalid, "%s has no file %s.txt", o.Predictions, name).
						WithRemedy("want a file for each of MME's 14 categories; --allow-missing counts missing ones 0")
				}
				r.Counts.Missing++
				r.Counts.Notes = append(r.Counts.Notes, o.Predictions+": the category "+name+" is missing and counts 0")
				continue
			}
			if err != nil {
				return nil, err
			}
			scored = append(scored, c)
			r.N += len(c.items)
		}
		r.Figures = append(r.Figures, mmeFigure(group.key, scored))
		for _, c := range scored {
			r.Figures = append(r.Figures, mmeCategoryFigure(c))
		}
	}
	if r.N == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "%s has no file of a category of MME", o.Predictions).
			WithRemedy("want CATEGORY.txt, such as existence.txt")
	}
	return r, nil
}

// mmeCategory holds the answers of a category; pictures lists the answers of each picture.
type mmeCategory struct {
	name     string
	items    []metrics.MMEItem
	pictures [][]metrics.MMEItem
	index    map[string]int // of pictures
}

// mmeGroup is a group of categories, whose score is the sum of theirs.
type mmeGroup struct {
	key        string
	categories []string
}

func mmeGroups() []mmeGroup {
	return []mmeGroup{{"perception", metrics.MMEPerception()}, {"cognition", metrics.MMECognition()}}
}

// add adds an answer.
func (c *mmeCategory) add(item metrics.MMEItem) {
	i, ok := c.index[item.Picture]
	if !ok {
		i = len(c.pictures)
		c.index[item.Picture] = i
		c.pictures = append(c.pictures, nil)
	}
	c.items, c.pictures[i] = append(c.items, item), append(c.pictures[i], item)
}

// mmeCategoryFigure returns the score of a category.
func mmeCategoryFigure(c mmeCategory) Figure {
	f := mmeFigure("value", []mmeCategory{c})
	f.By, f.Name = "category", c.name
	return f
}

// readMME reads the file of a category.
func readMME(path, name string) (mmeCategory, error) {
	c := mmeCategory{name: name, index: map[string]int{}}
	if _, err := os.Stat(path); err != nil {
		return c, err
	}
	data, err := read(path)
	if err != nil {
		return c, err
	}
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			continue
		}
		fields := strings.Split(line, "\t")
		truth := ""
		if len(fields) == 4 {
			truth = metrics.MMEAnswer(fields[2])
		}
		if truth != "yes" && truth != "no" {
			return c, adapters.Errorf(adapters.Corrupt, "%s: line %d is not picture, question, Yes or No, and response, separated by tabs", path, n+1).
				WithRemedy("a response must have no tab and no line feed")
		}
		c.add(metrics.MMEItem{Picture: fields[0], Right: metrics.MMEAnswer(fields[3]) == truth})
	}
	if len(c.items) == 0 {
		return c, adapters.Errorf(adapters.Corrupt, "%s has no answers", path)
	}
	return c, nil
}

// mmeFigure returns the sum of the scores of categories. Pictures are drawn anew for its
// interval, each in its own category.
func mmeFigure(key string, categories []mmeCategory) Figure {
	type place struct{ category, picture int }
	var places []place
	for c := range categories {
		for p := range categories[c].pictures {
			places = append(places, place{c, p})
		}
	}
	f := figure(key, key, len(places), func(rows []int) float64 {
		items := make([][]metrics.MMEItem, len(categories))
		for n, row := range rows {
			at := places[row]
			for _, item := range categories[at.category].pictures[at.picture] {
				item.Picture = fmt.Sprint(n) // drawn twice, it is two pictures
				items[at.category] = append(items[at.category], item)
			}
		}
		sum := 0.0
		for _, of := range items {
			sum += metrics.MMEScore(of)
		}
		return sum
	})
	if len(places) == 0 {
		f.sample, f.value = resample.Mean(nil), 0
	}
	return f
}
