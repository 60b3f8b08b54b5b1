package train_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/objective"
)

// answered is a data set whose questions have other answers.
type answered struct {
	data.Dataset
	answers func(answer string) []string
}

func (a answered) Record(i int) (data.Record, error) {
	r := recordOf(a.Dataset, i)
	r.Questions = slices.Clone(r.Questions)
	for j, q := range r.Questions {
		r.Questions[j] = data.NewQA(q.Question, a.answers(q.Answer), q.Kind)
	}
	return r, nil
}

// answering returns a run in dir that is asked questions alone, with other answers.
func answering(t *testing.T, steps int, dir string, answers func(string) []string) *train.Session {
	t.Helper()
	plan := onePhase(objective.PromptCaption(), steps)
	plan.Phases[0].Mix.Questions, plan.CheckpointEvery = 1, 2
	s := newSessionFor(t, plan, dir)
	s.Train.Data = answered{s.Train.Data, answers}
	return s
}

func tenColors(string) []string {
	return []string{"red", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow"}
}

// Of ten people's answers each is trained on by its share, whatever objective draws the
// question: not the first alone, and not the most frequent alone.
func TestAnswersAreTrainedOnByTheirShare(t *testing.T) {
	own := objective.PromptCaption()
	own.Name = "own"
	own.Draw = func(_ *rand.Rand, record data.Record, _ objective.Mix) data.Sample {
		return data.Sample{Question: &record.Questions[0]}
	}
	for _, o := range []objective.Objective{objective.PromptCaption(), own} {
		s := answering(t, 25, t.TempDir(), tenColors)
		s.Plan.Phases[0].Objective, s.Plan.CheckpointEvery = o, 0
		counts := map[string]int{}
		trainOneStep(t, s, func(_, target string) { counts[strings.TrimSpace(target)]++ })
		if n := counts["red"] + counts["yellow"]; n != 200 || counts["red"] < 8 || counts["red"] > 36 {
			t.Errorf("%s: 200 answers are %v, want about 20 of red and the rest of yellow", o.Name, counts)
		}
	}
}

// A list whose answers are equal trains as the answer alone does, bit for bit. A list of
// different ones resumes as if the run had not been interrupted.
func TestListsOfAnswersKeepARunsBits(t *testing.T) {
	run := func(dir string, answers func(string) []string) {
		t.Helper()
		if _, err := answering(t, 4, dir, answers).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	alone, equal, ten, again := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	run(alone, func(a string) []string { return []string{a} })
	run(equal, func(a string) []string { return []string{a, a, a, a} })
	sameBits(t, weightsOf(t, equal), weightsOf(t, alone))

	run(ten, tenColors)
	first := answering(t, 4, again, tenColors)
	ctx, stop := context.WithCancel(t.Context())
	first.Language = &stopping{first.Language, 3, stop}
	if _, err := first.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	resumed := answering(t, 4, again, tenColors)
	resumed.Resume = true
	if _, err := resumed.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameBits(t, weightsOf(t, again), weightsOf(t, ten))
}

// The evaluation of a run scores VQA accuracy if people gave several answers.
func TestAnswersOfSeveralPeopleAreScoredByVQAAccuracy(t *testing.T) {
	for _, answers := range []func(string) []string{tenColors, func(a string) []string { return []string{a} }} {
		s := answering(t, 1, t.TempDir(), answers)
		s.Plan.Evaluation = train.Evaluation{Examples: 3, Captions: 2}
		s.Eval.Data = answered{s.Eval.Data, answers}
		result, err := s.Run(t.Context())
		if err != nil || len(result.Answers) == 0 {
			t.Fatalf("%v, %v", result.Answers, err)
		}
		want := ""
		if len(answers("a")) > 1 {
			want = eval.MetricVQA
		}
		for kind, rate := range result.Answers {
			if rate.Metric != want {
				t.Errorf("%s is scored by %q, want %q", kind, rate.Metric, want)
			}
		}
	}
}

func TestARunCanLeaveOutAnswers(t *testing.T) {
	s := answering(t, 1, t.TempDir(), tenColors)
	s.Plan.Evaluation = train.Evaluation{Examples: 3, Captions: 2, NoAnswers: true}
	s.Also = []train.Set{scenes(t, kit.Fresh, 5)}
	result, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if result.Answers != nil || len(result.Also) != 1 || result.Also[0].Answers != nil {
		t.Errorf("got answers %v and further results %+v, want results without answers", result.Answers, result.Also)
	}
	if got := result.Cost.Of(cost.Evaluation).GeneratedTexts; got != 4 {
		t.Errorf("evaluations generated %d texts, want the 2 captions of each set", got)
	}
}
