package score

import (
	"bytes"
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/sbinet/npyio/npy"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// scienceQAProblems describes the layout of problems.json.
const scienceQAProblems = `{"ID": {"choices": […], "answer": 0, "image": …}, …}`

// scienceQAProblem is a problem of ScienceQA's problems.json.
type scienceQAProblem struct {
	Choices []string `json:"choices"`
	Answer  *int     `json:"answer"`
	Image   *string  `json:"image"`
	Subject string   `json:"subject"`
}

// scoreScienceQA scores letters against the right choice, of the questions with a picture ("IMG")
// and of all. Without a file of splits, the questions are those of problems.json.
func scoreScienceQA(_ context.Context, o Options) (*Result, error) {
	problems := map[string]*scienceQAProblem{}
	if err := decode(o.Questions, &problems, scienceQAProblems); err != nil {
		return nil, err
	}
	ids, err := scienceQAIDs(o, problems)
	if err != nil {
		return nil, err
	}
	texts, found, counts, err := pairTextIDs(o, vqaLayout, ids)
	if err != nil {
		return nil, err
	}
	scores, subjects, pictures := make([]float64, len(ids)), make([]string, len(ids)), make([]string, len(ids))
	for i, key := range ids {
		p := problems[key.String()]
		subjects[i] = p.Subject
		if pictures[i] = "without"; p.Image != nil && *p.Image != "" {
			pictures[i] = "with"
		}
		if found[i] && metrics.ScienceQAChoice(texts[i], len(p.Choices)) == *p.Answer {
			scores[i] = 1
		}
	}
	r := &Result{Task: ScienceQA, N: len(ids), Counts: counts}
	r.Figures = append(r.Figures, percent("value", "accuracy", scores))
	r.Figures = append(r.Figures, groups("value", "accuracy", "picture", pictures, scores)...)
	r.Figures = append(r.Figures, groups("value", "accuracy", "subject", subjects, scores)...)
	return r, nil
}

// scienceQAIDs returns the questions of the split, or all, in order.
func scienceQAIDs(o Options, problems map[string]*scienceQAProblem) ([]id, error) {
	var ids []id
	for key, p := range problems {
		if p == nil || p.Answer == nil || *p.Answer < 0 || *p.Answer >= len(p.Choices) {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: problem %s has no answer among its choices", o.Questions, key).
				WithRemedy("want %s", scienceQAProblems)
		}
		ids = append(ids, textID(key))
	}
	if o.Splits != "" {
		splits := map[string][]string{}
		if err := decode(o.Splits, &splits, `{"SPLIT": ["ID", …], …}`); err != nil {
			return nil, err
		}
		split, ok := splits[o.Split]
		if !ok {
			return nil, adapters.Errorf(adapters.Invalid, "%s has no split %q, want one of %v", o.Splits, o.Split, slices.Sorted(maps.Keys(splits)))
		}
		ids = ids[:0]
		for _, key := range split {
			if problems[key] == nil {
				return nil, adapters.Errorf(adapters.Invalid, "%s names problem %s, which %s lacks", o.Splits, key, o.Questions).
					WithRemedy("give the two files of one release of ScienceQA")
			}
			ids = append(ids, textID(key))
		}
	}
	slices.Sort(ids)
	return ids, unique(o.Questions, "id", ids)
}

// scoreRetrieval scores matrices of similarities: Predictions holds those of texts for pictures
// [pictures, texts], TextScores those of pictures for texts [texts, pictures] if a re-ranking made them
// different. Annotations are LAVIS's: a list of pictures, each with its captions.
func scoreRetrieval(_ context.Context, o Options) (*Result, error) {
	type picture struct {
		Image    string   `json:"image"`
		Captions []string `json:"caption"`
	}
	const want = `[{"image": "…", "caption": ["…", …]}, …]`
	pictures, err := decodeList[picture](o.Annotations, want)
	if err != nil {
		return nil, err
	}
	var ownTexts, ownPictures [][]int
	for i, p := range pictures {
		if len(p.Captions) == 0 {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d has no caption", o.Annotations, i).WithRemedy("want %s", want)
		}
		var texts []int
		for range p.Captions {
			texts = append(texts, len(ownPictures))
			ownPictures = append(ownPictures, []int{i})
		}
		ownTexts = append(ownTexts, texts)
	}
	byPicture, err := readMatrix(o.Predictions, len(ownTexts), len(ownPictures), "pictures", "texts")
	if err != nil {
		return nil, err
	}
	byText := metrics.Transposed(byPicture)
	if o.TextScores != "" {
		if byText, err = readMatrix(o.TextScores, len(ownPictures), len(ownTexts), "texts", "pictures"); err != nil {
			return nil, err
		}
	}
	r := &Result{Task: Retrieval, N: len(ownTexts)}
	r.Figures = append(r.Figures, recallFigures("text", "text", metrics.Ranks(byPicture, ownTexts))...)
	r.Figures = append(r.Figures, recallFigures("image", "picture", metrics.Ranks(byText, ownPictures))...)
	return r, nil
}

// recallFigures returns R@1, R@5 and R@10 of ranks.
func recallFigures(key, title string, ranks []int) []Figure {
	var out []Figure
	for _, k := range []struct {
		within      int
		key, suffix string
	}{{1, "_r1", " R@1"}, {5, "_r5", " R@5"}, {10, "_r10", " R@10"}} {
		hits := make([]float64, len(ranks))
		for i, rank := range ranks {
			if rank < k.within {
				hits[i] = 1
			}
		}
		out = append(out, percent(key+k.key, title+k.suffix, hits))
	}
	return out
}

// readMatrix reads a matrix of NumPy's format, of 32- or 64-bit floats, in either order.
func readMatrix(path string, rows, columns int, rowName, columnName string) ([][]float32, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	broken := func(err error) error {
		return adapters.Errorf(adapters.Corrupt, "%s is not a matrix of NumPy (.npy): %w", path, err).WithRemedy("write it with numpy.save")
	}
	r, err := npy.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, broken(err)
	}
	if got := r.Header.Descr.Shape; !slices.Equal(got, []int{rows, columns}) {
		return nil, adapters.Errorf(adapters.Invalid, "%s has shape %v, want [%d %d]: %s, %s", path, got, rows, columns, rowName, columnName)
	}
	values := make([]float32, rows*columns)
	switch kind := strings.TrimLeft(r.Header.Descr.Type, "<>=|"); kind {
	case "f4":
		err = r.Read(&values)
	case "f8":
		wide := make([]float64, len(values))
		err = r.Read(&wide)
		for i, v := range wide {
			values[i] = float32(v)
		}
	default:
		return nil, adapters.Errorf(adapters.Unsupported, "%s has values of type %q, want float32 or float64", path, kind).WithRemedy("convert it with astype")
	}
	if err != nil {
		return nil, broken(err)
	}
	out := make([][]float32, rows)
	for i := range out {
		out[i] = make([]float32, columns)
		for j := range out[i] {
			if r.Header.Descr.Fortran {
				out[i][j] = values[j*rows+i]
			} else {
				out[i][j] = values[i*columns+j]
			}
			if math.IsNaN(float64(out[i][j])) {
				return nil, adapters.Errorf(adapters.Invalid, "%s is NaN at [%d %d] (%s, %s from 0): it has no rank", path, i, j, rowName, columnName).
					WithRemedy("give every pair a number; -inf stands behind all others")
			}
		}
	}
	return out, nil
}
