package train_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/objective"
)

// questionsOf counts the questions about the first n records of a set.
func questionsOf(s train.Set, n int) (count int64) {
	for i := range n {
		r, _ := s.Data.Record(i) // never fails in the kit
		count += int64(len(r.Questions))
	}
	return count
}

func TestRunsCountWhatTheyCompute(t *testing.T) {
	s := newSessionFor(t, warmupAndStage2(3), t.TempDir())
	s.Also = []train.Set{scenes(t, kit.Fresh, 5)}
	result, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := questionsOf(s.Eval, 4) + questionsOf(s.Also[0], 4)
	// Three evaluations, after each phase and on the further set: 4 pictures, 2 captions.
	want := cost.Ledger{
		{Name: "projector-warmup", Count: cost.Count{Steps: 2, LanguagePasses: 16, QFormerForwards: 16, ProjectionPasses: 16}},
		{Name: cost.Evaluation, Count: cost.Count{LanguageForwards: 3 * 3 * 4, GeneratedTexts: 3*2 + asked, QFormerForwards: 3*(4+2) + asked}},
		{Name: "stage-2", Count: cost.Count{Steps: 3, LanguagePasses: 24, QFormerPasses: 24}},
	}
	for i := range result.Cost {
		if generated := &result.Cost[i].GeneratedTokens; *generated > 0 { // what the fake writes
			*generated = 0
		}
	}
	if !reflect.DeepEqual(result.Cost, want) {
		t.Errorf("got  %+v\nwant %+v", result.Cost, want)
	}
	if got, want := result.Cost.Training().LanguagePasses, int64(40); got != want {
		t.Errorf("training: got %d passes, want %d", got, want)
	}
}

func TestStage1CountsPairs(t *testing.T) {
	result, err := newSessionFor(t, onePhase(objective.Representation(), 2), t.TempDir()).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := result.Cost.Of("only"), (cost.Count{Steps: 2, Stage1Passes: 16}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Work that an interruption undoes is not counted twice.
func TestResumedRunsHaveTheCountsOfUninterruptedOnes(t *testing.T) {
	plan := warmupAndStage2(3)
	whole, err := newSessionFor(t, plan, t.TempDir()).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []int{1, 2, 6, 9} { // in the warm-up, in the evaluation after it, in stage 2, at the end
		dir := t.TempDir()
		first := newSessionFor(t, plan, dir)
		ctx, stop := context.WithCancel(t.Context())
		first.Language = &stopping{first.Language, left, stop}
		if _, err := first.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after %d calls: %v", left, err)
		}
		second := newSessionFor(t, plan, dir)
		second.Resume = true
		result, err := second.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range whole.Cost {
			if got := result.Cost.Of(p.Name); got != p.Count {
				t.Errorf("stopped after %d calls: %s: got %+v, want %+v", left, p.Name, got, p.Count)
			}
		}
	}
}

func TestPicturesAddUpToTheScores(t *testing.T) {
	s := newSessionFor(t, warmupAndStage2(2), t.TempDir())
	s.Also = []train.Set{scenes(t, kit.Fresh, 5)}
	result, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Also) != 1 || len(result.Also[0].Answers) == 0 {
		t.Fatalf("got %+v, want results and answers on the further set", result.Also)
	}
	for _, set := range []struct {
		data     train.Set
		scores   train.Scores
		pictures []train.PictureScore
	}{{s.Eval, result.Final, result.Pictures}, {s.Also[0], result.Also[0].Scores, result.Also[0].Pictures}} {
		var nats, tokens, right, written float64
		for i, p := range set.pictures {
			record, err := set.data.Data.Record(i)
			if want := record.ID; err != nil || p.Picture != want {
				t.Errorf("picture %d: got %s, want %s", i, p.Picture, want)
			}
			nats, tokens = nats+p.Loss.Nats, tokens+float64(p.Loss.Tokens)
			if p.Exact != nil {
				written++
				if *p.Exact {
					right++
				}
			}
		}
		if len(set.pictures) != 4 || nats/tokens != set.scores.Grounding.Right {
			t.Errorf("%d pictures with a loss of %v per token, want 4 with %v", len(set.pictures), nats/tokens, set.scores.Grounding.Right)
		}
		if written != 2 || right/written != set.scores.Values["exact_match"] {
			t.Errorf("%v of %v captions are right, want %v of 2", right, written, set.scores.Values["exact_match"])
		}
	}
}
