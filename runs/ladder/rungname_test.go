package ladder

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
)

// pairLadder reads the file of results for comparisons of two rungs, a part of
// docs/swapping/opt-to-small-opt.results.json: cold@3200 is Q* and has seeds 1 and 2, cold-batch-4 has
// 1 to 3 with the budget 1600 and 1 to 5 with 3200, words-batch-4 has 1 to 5, cold-long 1, second-donor 2.
func pairLadder(t *testing.T, examples int) *Ladder {
	t.Helper()
	r, err := Read(filepath.Join("testdata", "pair"+Extension))
	if err != nil {
		t.Fatal(err)
	}
	r.Matrix.Ladder.Examples = examples
	l, err := r.Analyze("tiny-vit", "small-opt")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// atLimit and climbing are limits of examples with which Q* is known, and with which it is not.
const atLimit, climbing = 51_200, 1_000_000

func verdictsAgainst(t *testing.T, l *Ladder, other Rung) map[string]Verdict {
	t.Helper()
	verdicts, err := l.VerdictsAgainst(l.Sets[0], other)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Verdict{}
	for _, v := range verdicts {
		all[v.Name().String()] = v
	}
	return all
}

func find(t *testing.T, l *Ladder, text string) Rung {
	t.Helper()
	name, err := ParseRungName(text)
	if err != nil {
		t.Fatal(err)
	}
	rung, ok := l.Find(name)
	if !ok {
		t.Fatalf("there is no %s", text)
	}
	return rung
}

// Two rungs are compared over the seeds that both have, whether Q* is known or not. The differences,
// ratios and intervals are those of numpy and scipy.
func TestVerdictsAgainstARung(t *testing.T) {
	l := pairLadder(t, climbing)
	if l.Best != nil {
		t.Fatalf("Q* is %+v, want a climb that goes on", l.Best)
	}
	for _, c := range readReference(t).Pairs {
		v := verdictsAgainst(t, l, find(t, l, c.B))[c.A]
		width := c.DifferenceInterval[1] - c.DifferenceInterval[0]
		wantInterval(t, c.A+" less "+c.B, v.Difference, c.Difference, c.DifferenceInterval, width/40+1e-3/float64(c.Seeds))
		wantInterval(t, c.A+" by "+c.B, v.Ratio, c.Ratio, c.RatioInterval, 1e-9)
		if v.Seeds != c.Seeds || v.NotInferior || v.Better {
			t.Errorf("%s against %s: seeds %d, not inferior %v, better %v, want %d and no", c.A, c.B, v.Seeds, v.NotInferior, v.Better, c.Seeds)
		}
	}
}

// Of a rung with more seeds, the runs of the common seeds alone are compared.
func TestVerdictsOverTheCommonSeeds(t *testing.T) {
	l := pairLadder(t, atLimit)
	for _, name := range []string{"cold-long@3200", "second-donor@80"} { // one seed each, 1 and 2
		own, other := find(t, l, name), find(t, l, "cold-batch-4@3200")
		v := verdictsAgainst(t, l, other)[name]
		for _, record := range other.Records {
			if record.Seed != own.Records[0].Seed {
				continue
			}
			mine, its := own.Records[0].Sets[0], record.Sets[0]
			if l.Sets[0] != mine.Name {
				mine, its = own.Records[0].Sets[1], record.Sets[1]
			}
			if v.Seeds != 1 || math.Abs(v.Ratio.Mean-mine.Loss/its.Loss) > 1e-12 || math.Abs(v.Difference.Mean-(mine.Exact.Share()-its.Exact.Share())) > 1e-12 {
				t.Errorf("%s: got %+v, want those of seed %d", name, v, record.Seed)
			}
		}
	}
}

// A comparison with Q* by its name is the usual one.
func TestVerdictsAgainstQ(t *testing.T) {
	l := pairLadder(t, atLimit)
	want, err := l.Verdicts(l.Sets[0])
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.VerdictsAgainst(l.Sets[0], find(t, l, "cold"))
	if err != nil || len(got) != 6 || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

// A rung without a common seed has its own quality, and no comparison.
func TestVerdictsWithoutACommonSeed(t *testing.T) {
	l := pairLadder(t, atLimit)
	for _, c := range []struct {
		other   Rung
		without []string
	}{
		{find(t, l, "cold-long@3200"), []string{"second-donor@80"}},
		{Rung{}, []string{"cold-batch-4@1600", "cold-batch-4@3200", "cold-long@3200", "cold@3200", "second-donor@80", "words-batch-4@320"}},
	} {
		var without []string
		for name, v := range verdictsAgainst(t, l, c.other) {
			if v.Seeds == 0 {
				without = append(without, name)
				if v.Difference != (Interval{}) || v.Ratio != (Interval{}) || v.NotInferior || v.Loss.Mean <= 0 || !v.Exact.Known() {
					t.Errorf("%s: %+v", name, v)
				}
			}
		}
		slices.Sort(without)
		if !slices.Equal(without, c.without) {
			t.Errorf("against %s: %q have no comparison, want %q", c.other.Name(), without, c.without)
		}
	}
}

func TestRungNames(t *testing.T) {
	for text, want := range map[string]RungName{"cold@200": {"cold", 200}, "cold-batch-4": {"cold-batch-4", 0}, "a@b@3": {"a@b", 3}} {
		if got, err := ParseRungName(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %+v, written %q (%v)", text, got, got, err)
		}
	}
	for _, text := range []string{"", "@", "@3", "cold@", "cold@x", "cold@0", "cold@-1", "cold@1.5"} {
		if got, err := ParseRungName(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
	l := pairLadder(t, atLimit)
	for name, want := range map[RungName]int{{"cold-batch-4", 0}: 5, {"cold-batch-4", 1600}: 3, {"cold-batch-4", 800}: 0, {"wrods", 0}: 0} {
		rung, ok := l.Find(name)
		if len(rung.Records) != want || ok != (want > 0) || rung.Option != name.Option || name.Budget > 0 && rung.Budget != name.Budget {
			t.Errorf("%s: found %v, %+v, want %d runs", name, ok, rung, want)
		}
	}
}
