package data_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/data"
)

// Each distinct answer is drawn by its share of the list: LAVIS trains on the sum of the
// losses weighted by these shares, which is then the expected loss.
func TestAnswersAreDrawnByTheirShare(t *testing.T) {
	const draws = 20000
	q := data.NewQA("what color?", []string{"red", "yellow", "blue", "yellow", "yellow", "yellow", "blue", "yellow", "yellow", "yellow"}, "color")
	if q.Answer != "yellow" || len(q.Answers) != 10 || q.Kind != "color" {
		t.Fatalf("got %+v, want the most frequent answer and all ten", q)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	counts := map[string]int{}
	for range draws {
		drawn := q.DrawAnswer(rng)
		counts[drawn.Answer]++
		if drawn.Question != q.Question || drawn.Kind != q.Kind {
			t.Fatalf("drew %+v of %+v", drawn, q)
		}
	}
	for answer, share := range map[string]float64{"red": 0.1, "blue": 0.2, "yellow": 0.7} {
		if got := float64(counts[answer]) / draws; math.Abs(got-share) > 4*math.Sqrt(share*(1-share)/draws) {
			t.Errorf("%s is drawn in %.3f of the cases, want %.1f", answer, got, share)
		}
	}
	if len(counts) != 3 {
		t.Errorf("drew %v", counts)
	}
}

// A draw depends on the random numbers alone, and takes none if there is no choice: runs on
// single answers keep their bits.
func TestDrawsAreRepeatedAndTakeNothingWithoutAChoice(t *testing.T) {
	many := data.NewQA("?", []string{"a", "b", "c"}, "")
	for seed := range uint64(20) {
		x, y := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 0))
		if one, other := many.DrawAnswer(x), many.DrawAnswer(y); !reflect.DeepEqual(one, other) || x.Uint64() != y.Uint64() {
			t.Fatalf("seed %d draws %+v and %+v", seed, one, other)
		}
	}
	for _, answers := range [][]string{{"a"}, {"a", "a"}, {"a", "a", "a", "a"}} {
		q := data.NewQA("?", answers, "")
		rng, untouched := rand.New(rand.NewPCG(1, 0)), rand.New(rand.NewPCG(1, 0))
		if got := q.DrawAnswer(rng); got.Answer != "a" || rng.Uint64() != untouched.Uint64() {
			t.Errorf("%q: drew %q and random numbers", answers, got.Answer)
		}
	}
	if q := data.NewQA("?", []string{"a"}, ""); q.Answers != nil {
		t.Errorf("one answer is a list: %+v", q)
	}
	if q := data.NewQA("?", []string{"b", "a", "a", "b"}, ""); q.Answer != "b" {
		t.Errorf("of two that are as frequent, %q counts, want the first", q.Answer)
	}
}
