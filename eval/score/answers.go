package score

import (
	"context"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// gqaQuestion is a question of GQA's official files.
type gqaQuestion struct {
	Answer   *string `json:"answer"`
	Balanced *bool   `json:"isBalanced"`
	Groups   struct {
		Global *string `json:"global"`
	} `json:"groups"`
	Types struct {
		Structural string `json:"structural"`
		Semantic   string `json:"semantic"`
	} `json:"types"`
}

// GQAVariants returns the rules of GQA's accuracy, the default first: official compares texts as
// they are, lavis normalises both as VQA accuracy does.
func GQAVariants() []string { return []string{"official", "lavis"} }

// scoreGQA scores answers by exact match. Questions that are not balanced are left out, as in
// the official script.
func scoreGQA(_ context.Context, o Options) (*Result, error) {
	variant, err := choice("the variant", o.Variant, GQAVariants())
	if err != nil {
		return nil, err
	}
	questions := map[string]*gqaQuestion{}
	const want = `{"ID": {"question": …, "answer": …, "isBalanced": …, "types": …}, …}`
	if err := decode(o.Questions, &questions, want); err != nil {
		return nil, err
	}
	var ids []id
	for key, q := range questions {
		if q == nil || q.Answer == nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: question %s has no answer", o.Questions, key).
				WithRemedy("want %s", want)
		}
		if q.Balanced == nil || *q.Balanced {
			ids = append(ids, textID(key))
		}
	}
	slices.Sort(ids)
	if err := unique(o.Questions, "id", ids); err != nil {
		return nil, err
	}
	texts, found, counts, err := pairTextIDs(o, gqaLayout, ids)
	if err != nil {
		return nil, err
	}
	return gqaResult(variant, ids, questions, texts, found, counts), nil
}

// gqaResult computes the figures of GQA.
func gqaResult(variant string, ids []id, questions map[string]*gqaQuestion, texts []string, found []bool, counts Counts) *Result {
	n := len(ids)
	scores, answers, groupsOf := make([]float64, n), make([]string, n), make([]string, n)
	structural, semantic, kinds := make([]string, n), make([]string, n), make([]string, n)
	for i, key := range ids {
		q := questions[key.String()]
		answers[i], structural[i], semantic[i] = *q.Answer, q.Types.Structural, q.Types.Semantic
		if q.Groups.Global != nil {
			groupsOf[i] = *q.Groups.Global
		}
		if kinds[i] = "binary"; structural[i] == "query" {
			kinds[i] = "open"
		} else if structural[i] == "" {
			kinds[i] = ""
		}
		right := texts[i] == answers[i]
		if variant == "lavis" {
			right = metrics.NormalizeVQA(texts[i]) == metrics.NormalizeVQA(answers[i])
		}
		if found[i] && right {
			scores[i] = 1
		}
	}
	const title = "accuracy"
	r := &Result{Task: GQA, Settings: []Setting{{"variant", variant}}, N: n, Counts: counts}
	r.Figures = append(r.Figures, percent("value", title, scores))
	if f, ok := distribution(texts, answers, groupsOf); ok {
		r.Figures = append(r.Figures, f)
	}
	r.Figures = append(r.Figures, groups("value", title, "kind", kinds, scores)...)
	r.Figures = append(r.Figures, groups("value", title, "structural", structural, scores)...)
	r.Figures = append(r.Figures, groups("value", title, "semantic", semantic, scores)...)
	return r
}

// distribution returns GQA's comparison of answers by group; ok is false if no question has one.
func distribution(texts, answers, groupsOf []string) (f Figure, ok bool) {
	if !slices.ContainsFunc(groupsOf, func(g string) bool { return g != "" }) {
		return f, false
	}
	f = figure("distribution", "distribution", len(texts), func(rows []int) float64 {
		return metrics.GQADistribution(picked(texts, rows), picked(answers, rows), picked(groupsOf, rows))
	})
	f.Better = "lower"
	return f, true
}

// picked returns the values of rows.
func picked[T any](values []T, rows []int) []T {
	out := make([]T, len(rows))
	for i, row := range rows {
		out[i] = values[row]
	}
	return out
}

// pairTextIDs reads predictions and pairs them with ids that are texts, whatever kind of ids the
// file has.
func pairTextIDs(o Options, l layout, ids []id) (texts []string, found []bool, counts Counts, err error) {
	got, err := readPredictions(o.Predictions, l)
	if err == nil {
		got, err = asTexts(got)
	}
	if err != nil {
		return nil, nil, counts, err
	}
	texts, found, err = got.pair(ids, o.AllowMissing)
	return texts, found, got.counts, err
}

// asTexts returns the predictions with ids that are texts instead of numbers, as GQA's official
// script does. It returns an error if a question then has two predictions.
func asTexts(p *predictions) (*predictions, error) {
	q := &predictions{path: p.path, repeated: p.repeated}
	for _, i := range p.order {
		if err := q.add("question", textID(i.String()), p.values[i]); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// aokvqaQuestion is a question of A-OKVQA.
type aokvqaQuestion struct {
	ID        *id      `json:"question_id"`
	Choices   []string `json:"choices"`
	Correct   *int     `json:"correct_choice_idx"`
	Answers   []string `json:"direct_answers"`
	Difficult bool     `json:"difficult_direct_answer"`
}

// aokvqaPrediction is a prediction for a question of A-OKVQA. One of the two may be missing.
type aokvqaPrediction struct {
	Choice *string `json:"multiple_choice"`
	Direct *string `json:"direct_answer"`
}

// scoreAOKVQA scores multiple choice by equality, and direct answers by the official rule: the
// questions that are marked as difficult are left out.
func scoreAOKVQA(_ context.Context, o Options) (*Result, error) {
	questions, err := decodeList[aokvqaQuestion](o.Annotations, `[{"question_id": …, "choices": […], "correct_choice_idx": …, "direct_answers": […]}, …]`)
	if err != nil {
		return nil, err
	}
	got := map[string]aokvqaPrediction{}
	const want = `{"QUESTION_ID": {"multiple_choice": "…", "direct_answer": "…"}, …}. To convert LAVIS's results: ` +
		`jq 'map({(.question_id): {direct_answer: .pred_ans}}) | add' FILE > NEW.`
	if err := decode(o.Predictions, &got, want); err != nil {
		return nil, err
	}
	var choices, direct aokvqaFigure
	var ids []id
	seen := map[string]bool{}
	for n, q := range questions {
		if q.ID == nil || q.Correct == nil || *q.Correct < 0 || *q.Correct >= len(q.Choices) {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: question %d lacks question_id, or a correct_choice_idx among its choices", o.Annotations, n).
				WithRemedy("the test split has no answers; score the validation split")
		}
		ids = append(ids, *q.ID)
		key := q.ID.String()
		p := got[key]
		seen[key] = true
		choices.add(*q.ID, p.Choice, func(text string) float64 {
			if text == q.Choices[*q.Correct] {
				return 1
			}
			return 0
		})
		if !q.Difficult {
			direct.add(*q.ID, p.Direct, func(text string) float64 { return metrics.AOKVQADirect(text, q.Answers) })
		}
	}
	if err := unique(o.Annotations, "question_id", ids); err != nil {
		return nil, err
	}
	r := &Result{Task: AOKVQA, N: len(questions)}
	if err := choices.report(r, o, "multiple_choice", "multiple choice"); err != nil {
		return nil, err
	}
	if err := direct.report(r, o, "direct_answer", "direct answer"); err != nil {
		return nil, err
	}
	if len(r.Figures) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "%s has no prediction for a question of %s", o.Predictions, o.Annotations).
			WithRemedy("want %s", want)
	}
	r.Counts.countExtra(o.Predictions, got, seen)
	return r, nil
}

// countExtra counts and notes the predictions of a file that belong to no question.
func (c *Counts) countExtra(path string, got map[string]aokvqaPrediction, questions map[string]bool) {
	var extra []id
	for key := range got {
		if !questions[key] {
			extra = append(extra, textID(key))
		}
	}
	slices.Sort(extra)
	c.Extra = len(extra)
	c.note(path+": %d predictions belong to no question and are ignored: %s", extra)
}

// aokvqaFigure collects the scores of one kind of answers.
type aokvqaFigure struct {
	scores  []float64
	missing []id
}

func (f *aokvqaFigure) add(i id, text *string, score func(text string) float64) {
	if text == nil {
		f.missing = append(f.missing, i)
		f.scores = append(f.scores, 0)
		return
	}
	f.scores = append(f.scores, score(*text))
}

// report adds the figure, unless the file has no prediction of its kind.
func (f *aokvqaFigure) report(r *Result, o Options, key, title string) error {
	if len(f.missing) == len(f.scores) {
		return nil
	}
	if len(f.missing) > 0 && !o.AllowMissing {
		return adapters.Errorf(adapters.Invalid, "%s: %d of %d predictions of %s are missing: %s", o.Predictions, len(f.missing), len(f.scores), key, named(f.missing)).
			WithRemedy("--allow-missing counts them 0, as the official script does unless it is strict")
	}
	r.Figures = append(r.Figures, percent(key, title, f.scores))
	r.Counts.Missing += len(f.missing)
	r.Counts.note(o.Predictions+": %d predictions of "+key+" are missing and count 0: %s", f.missing)
	return nil
}

// scoreAnswerability scores how well "unanswerable" is predicted for VizWiz.
func scoreAnswerability(_ context.Context, o Options) (*Result, error) {
	type question struct {
		Image      *id  `json:"image"`
		Answerable *int `json:"answerable"`
	}
	const want = `[{"image": "…", "answerable": 0 or 1}, …]`
	questions, err := decodeList[question](o.Annotations, want)
	if err != nil {
		return nil, err
	}
	var ids []id
	var truth []bool
	for n, q := range questions {
		if q.Image == nil || q.Answerable == nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d lacks image or answerable", o.Annotations, n).WithRemedy("want %s", want)
		}
		ids, truth = append(ids, *q.Image), append(truth, *q.Answerable == 0)
	}
	if err := unique(o.Annotations, "image", ids); err != nil {
		return nil, err
	}
	got, err := readPredictions(o.Predictions, vizwizLayout)
	if err != nil {
		return nil, err
	}
	texts, _, err := got.pair(ids, o.AllowMissing)
	if err != nil {
		return nil, err
	}
	said, confidence := make([]bool, len(texts)), make([]float64, len(texts))
	for i, text := range texts {
		if said[i] = metrics.Unanswerable(text); said[i] {
			confidence[i] = 1
		}
	}
	r := &Result{Task: Answerability, N: len(texts), Counts: got.counts}
	r.Figures = append(r.Figures, answerability(said, truth, confidence)...)
	return r, nil
}

// answerability returns how well unanswerable questions are recognised.
func answerability(said, truth []bool, confidence []float64) []Figure {
	return []Figure{
		percentOf("average_precision", "average precision", len(said), func(rows []int) float64 {
			return metrics.AveragePrecision(picked(confidence, rows), picked(truth, rows))
		}),
		percentOf("f1", "F1", len(said), func(rows []int) float64 { return metrics.BinaryOf(picked(said, rows), picked(truth, rows)).F1 }),
	}
}

// percentOf returns a figure of 0 to 1 in percent.
func percentOf(key, title string, n int, of func(rows []int) float64) Figure {
	f := figure(key, title, n, func(rows []int) float64 { return 100 * of(rows) })
	f.Percent = true
	return f
}
