package score

import (
	"context"
	"errors"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// vqaQuestion is an entry of VQA's annotations.
type vqaQuestion struct {
	ID           *id    `json:"question_id"`
	QuestionType string `json:"question_type"`
	AnswerType   string `json:"answer_type"`
	Answers      []struct {
		Answer *string `json:"answer"`
	} `json:"answers"`
}

// The layouts of VQA's files.
const (
	vqaAnnotationsLayout = `{"annotations": [{"question_id": …, "answers": [{"answer": …}, …]}, …]}`
	vqaQuestionsLayout   = `{"questions": [{"question_id": …, "question": …}, …]}`
)

// vqaTruth is a file of annotations: the answers of people, by question.
type vqaTruth struct {
	ids                        []id
	answers                    [][]string
	questionTypes, answerTypes []string
}

// readVQA reads {"annotations": [{"question_id": …, "answers": [{"answer": …}, …]}, …]}.
func readVQA(path string) (*vqaTruth, error) {
	var file struct {
		Annotations []vqaQuestion `json:"annotations"`
	}
	if err := decode(path, &file, vqaAnnotationsLayout); err != nil {
		return nil, err
	}
	t := &vqaTruth{}
	for n, q := range file.Annotations {
		if q.ID == nil {
			return nil, vqaError(path, n, "question_id")
		}
		answers := make([]string, len(q.Answers))
		for i, a := range q.Answers {
			if a.Answer == nil {
				return nil, vqaError(path, n, "answer in one of its answers")
			}
			answers[i] = *a.Answer
		}
		if len(answers) == 0 {
			return nil, vqaError(path, n, "answers")
		}
		t.ids, t.answers = append(t.ids, *q.ID), append(t.answers, answers)
		t.questionTypes, t.answerTypes = append(t.questionTypes, q.QuestionType), append(t.answerTypes, q.AnswerType)
	}
	if len(t.ids) == 0 {
		return nil, adapters.Errorf(adapters.Corrupt, "%s has no annotations", path).
			WithRemedy("want %s", vqaAnnotationsLayout)
	}
	return t, unique(path, "question_id", t.ids)
}

// few returns the questions with fewer than 4 answers. VQA accuracy leaves out one answer at a time,
// and wants 3 others.
func (t *vqaTruth) few() []id {
	var ids []id
	for n, answers := range t.answers {
		if len(answers) < 4 {
			ids = append(ids, t.ids[n])
		}
	}
	return ids
}

func vqaError(path string, n int, lacks string) error {
	return adapters.Errorf(adapters.Corrupt, "%s: annotation %d has no %s", path, n, lacks).
		WithRemedy(`want {"question_id": …, "answers": [{"answer": …}, …]}`)
}

// readQuestionIDs reads {"questions": [{"question_id": …}, …]}.
func readQuestionIDs(path string) ([]id, error) {
	var file struct {
		Questions []struct {
			ID *id `json:"question_id"`
		} `json:"questions"`
	}
	if err := decode(path, &file, vqaQuestionsLayout); err != nil {
		return nil, err
	}
	if len(file.Questions) == 0 {
		return nil, adapters.Errorf(adapters.Corrupt, "%s has no questions", path).WithRemedy("want %s", vqaQuestionsLayout)
	}
	var ids []id
	for n, q := range file.Questions {
		if q.ID == nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: question %d has no question_id", path, n).
				WithRemedy("want %s", vqaQuestionsLayout)
		}
		ids = append(ids, *q.ID)
	}
	return ids, unique(path, "question_id", ids)
}

// vqaFiles are the files of VQA.
type vqaFiles struct {
	truth     *vqaTruth
	questions []id // nil without a file of questions
	got       *predictions
}

// readVQAFiles reads the files at once.
func readVQAFiles(o Options) (f vqaFiles, err error) {
	var group sync.WaitGroup
	var errs [3]error
	group.Go(func() { f.got, errs[0] = readPredictions(o.Predictions, vqaLayout) })
	group.Go(func() { f.truth, errs[1] = readVQA(o.Annotations) })
	if o.Questions != "" {
		group.Go(func() { f.questions, errs[2] = readQuestionIDs(o.Questions) })
	}
	group.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return f, err
	}
	if o.Questions != "" {
		return f, sameIDs(o.Questions, f.questions, o.Annotations, f.truth.ids)
	}
	return f, nil
}

// vqaVariants returns the names of the variants of VQA accuracy, the default first.
func vqaVariants() []string {
	var names []string
	for _, v := range metrics.VQAVariants() {
		names = append(names, string(v))
	}
	return names
}

// scoreVQA scores answers by VQA accuracy.
func scoreVQA(_ context.Context, o Options) (*Result, error) {
	variant, err := choice("the variant", o.Variant, vqaVariants())
	if err != nil {
		return nil, err
	}
	f, err := readVQAFiles(o)
	if err != nil {
		return nil, err
	}
	texts, found, err := f.got.pair(f.truth.ids, o.AllowMissing)
	if err != nil {
		return nil, err
	}
	f.got.counts.note(o.Annotations+": %d questions have fewer than 4 answers, so that no prediction can get 100 %%: %s", f.truth.few())
	scorer, scores := metrics.NewVQA(metrics.VQAVariant(variant)), make([]float64, len(texts))
	for i, text := range texts {
		if found[i] {
			scores[i] = scorer.Accuracy(text, f.truth.answers[i])
		}
	}
	const title = "VQA accuracy"
	r := &Result{Task: VQA, Settings: []Setting{{"variant", variant}}, N: len(scores), Counts: f.got.counts}
	r.Figures = append(r.Figures, percent("value", title, scores))
	r.Figures = append(r.Figures, groups("value", title, "answer_type", f.truth.answerTypes, scores)...)
	r.Figures = append(r.Figures, groups("value", title, "question_type", f.truth.questionTypes, scores)...)
	return r, nil
}
