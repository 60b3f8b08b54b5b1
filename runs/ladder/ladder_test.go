package ladder

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train/cost"
)

const matrixText = `recipe = "tiny-retrain"
encoders = ["vit"]
llms = ["opt"]
seeds = [1, 2]
[options.cold]
cold = true
[options.warm]
[options.early]
budgets = [50, 400]
seeds = [2]
[options.along]
climb = true
[ladder]
examples = 1_000_000
`

func matrix(t *testing.T, text string) *recipes.Matrix {
	t.Helper()
	m, err := recipes.ParseMatrix("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// world says how well a run does: the number of wrong captions of 2000, and the loss.
type world func(option string, budget int) (wrong int, loss float64)

// converging is a world in which the cold start gains little after 800 steps.
func converging(option string, budget int) (wrong int, loss float64) {
	switch {
	case option != "cold":
		return map[bool]int{true: 40, false: 200}[budget >= 113], 0.0100
	case budget < 400:
		return 100_000 / budget, 5 / float64(budget)
	}
	return map[int]int{400: 100, 566: 45, 800: 40, 1600: 36}[budget], map[int]float64{400: 0.020, 566: 0.0105, 800: 0.0102, 1600: 0.0101}[budget]
}

// record makes the record of a run in the world. Budgets have batches of 10 examples.
func (w world) record(run recipes.MatrixRun) Record {
	wrong, loss := w(run.Option, run.Budget)
	exact := make(Bits, 2000)
	for i := range exact {
		exact[i] = i >= wrong
	}
	return Record{MatrixRun: run, Steps: run.Budget, Batch: 10, Sets: []Set{{Name: "kit:choose 1234", Loss: loss, Exact: exact}}}
}

// climb trains all runs that are needed, one after the other, and returns their names in order.
func (w world) climb(t *testing.T, r *Results) (names []string) {
	t.Helper()
	for range 100 {
		needed, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if len(needed) == 0 {
			return names
		}
		if err := r.Add(w.record(needed[0])); err != nil {
			t.Fatal(err)
		}
		run := needed[0]
		names = append(names, fmt.Sprintf("%s %d seed%d", run.Option, run.Budget, run.Seed))
	}
	t.Fatal("the ladder does not end")
	return nil
}

func analyze(t *testing.T, r *Results) *Ladder {
	t.Helper()
	l, err := r.Analyze("vit", "opt")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The climb ends at the budget that gains little, C is the smallest budget that is not inferior,
// with one a factor of √2 below, and the other options run at fractions of C.
func TestClimb(t *testing.T) {
	r := &Results{Matrix: matrix(t, matrixText)}
	names := world(converging).climb(t, r)
	l := analyze(t, r)
	if l.End != Converged || l.Best.Budget != 1600 || l.C.Budget != 566 || l.Bound() != Exact {
		t.Fatalf("the climb %q to %+v, C %+v %s", l.End, l.Best, l.C, l.Bound())
	}
	var cold []int
	for _, rung := range l.Climbed {
		cold = append(cold, rung.Budget)
	}
	if !slices.Equal(cold, []int{100, 200, 400, 566, 800, 1600}) {
		t.Errorf("the cold start ran with %v steps", cold)
	}
	var warm, along, early []int
	for _, name := range names {
		var option string
		var budget int
		var seed uint64
		if _, err := fmt.Sscanf(name, "%s %d seed%d", &option, &budget, &seed); err != nil {
			t.Fatal(err)
		}
		switch {
		case option == "warm" && seed == 1:
			warm = append(warm, budget)
		case option == "along" && seed == 1:
			along = append(along, budget)
		case option == "early":
			early = append(early, budget)
			if seed != 2 {
				t.Errorf("%s, but the option has seed 2 alone", name)
			}
		}
	}
	slices.Sort(along)
	if !slices.Equal(warm, []int{57, 113, 283, 566}) || !slices.Equal(along, cold) || !slices.Equal(early, []int{50, 400}) {
		t.Errorf("warm ran with %v, along with %v, early with %v", warm, along, early)
	}
	if first := names[:3]; !slices.Equal(first, []string{"early 50 seed2", "cold 100 seed1", "cold 100 seed2"}) {
		t.Errorf("the first runs are %q, want the cheapest", first)
	}
}

// The verdicts have the known differences, ratios and answers.
func TestVerdicts(t *testing.T) {
	r := &Results{Matrix: matrix(t, matrixText)}
	world(converging).climb(t, r)
	l := analyze(t, r)
	verdicts, err := l.Verdicts(l.Sets[0])
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Verdict{}
	for _, v := range verdicts {
		got[fmt.Sprint(v.Option, v.Budget)] = v
	}
	for name, want := range map[string]struct {
		difference, ratio float64
		notInferior       bool
		seeds             int
	}{
		"cold1600": {0, 1, true, 2}, "cold800": {-4.0 / 2000, 0.0102 / 0.0101, true, 2}, "cold400": {-64.0 / 2000, 0.020 / 0.0101, false, 2},
		"warm57": {-164.0 / 2000, 0.0100 / 0.0101, false, 2}, "warm113": {-4.0 / 2000, 0.0100 / 0.0101, true, 2},
		"early50": {-164.0 / 2000, 0.0100 / 0.0101, false, 1},
	} {
		v := got[name]
		if math.Abs(v.Difference.Mean-want.difference) > 1e-12 || math.Abs(v.Ratio.Mean-want.ratio) > 1e-12 ||
			v.NotInferior != want.notInferior || v.Seeds != want.seeds || v.Better {
			t.Errorf("%s: got %+v %+v, not inferior %v, seeds %d, want %+v", name, v.Difference, v.Ratio, v.NotInferior, v.Seeds, want)
		}
	}
	if v := got["warm566"]; v.Passes()/l.C.Passes() != 1 || l.C.Passes() != 5660 {
		t.Errorf("warm at C took %v passes, and C is %v", v.Passes(), l.C.Passes())
	}
}

// A higher loss alone makes a run inferior, and a large gain in exact captions makes it better.
func TestLossAndGain(t *testing.T) {
	rules := *matrix(t, matrixText).Ladder
	of := func(wrong int, loss float64) Rung {
		w := world(func(string, int) (int, float64) { return wrong, loss })
		return Rung{Records: []Record{w.record(recipes.MatrixRun{Seed: 1}), w.record(recipes.MatrixRun{Seed: 2})}}
	}
	for _, c := range []struct {
		wrong               int
		loss                float64
		notInferior, better bool
	}{{100, 0.0101, true, false}, {100, 0.0120, false, false}, {20, 0.0100, true, true}, {20, 0.0120, false, false}, {125, 0.0100, false, false}} {
		v, err := judge(rules, "", of(c.wrong, c.loss), of(100, 0.0100))
		if err != nil || v.NotInferior != c.notInferior || v.Better != c.better {
			t.Errorf("%d wrong, loss %v: not inferior %v, better %v (%v), want %v, %v", c.wrong, c.loss, v.NotInferior, v.Better, err, c.notInferior, c.better)
		}
	}
}

// While objects are unnamed a small gain does not end the climb. Then the limit of examples does,
// and C and the fractions are bounds.
func TestPlateauAndLimit(t *testing.T) {
	plateau := world(func(option string, budget int) (int, float64) { return 1900, 0.69 })
	r := &Results{Matrix: matrix(t, strings.Replace(matrixText, "1_000_000", "6400", 1))}
	plateau.climb(t, r)
	l := analyze(t, r)
	if l.End != Limit || l.Best.Budget != 400 || l.C.Budget != 100 || l.Bound() != Unclear {
		t.Errorf("on a plateau the climb ended by %q at %+v, C %+v %s", l.End, l.Best, l.C, l.Bound())
	}
	r = &Results{Matrix: matrix(t, matrixText+"plateau = 0\n")}
	plateau.climb(t, r)
	if l := analyze(t, r); l.End != Converged || l.Best.Budget != 200 || l.Bound() != AtMost || l.Bound().OfC() != AtLeast {
		t.Errorf("without the rule the climb ended by %q at %+v, C is %s", l.End, l.Best, l.Bound())
	}
	r = &Results{Matrix: matrix(t, strings.Replace(matrixText, "1_000_000", "8000", 1))}
	world(converging).climb(t, r)
	if l := analyze(t, r); l.End != Limit || l.Best.Budget != 800 || l.Bound() != AtLeast || l.Bound().OfC() != AtMost {
		t.Errorf("the climb ended by %q at %+v, C is %s", l.End, l.Best, l.Bound())
	}
}

// A ladder that was interrupted at any run goes on with the same runs.
func TestNextGoesOn(t *testing.T) {
	whole := &Results{Matrix: matrix(t, matrixText)}
	all := world(converging).climb(t, whole)
	part := &Results{Matrix: matrix(t, matrixText)}
	for n := range all {
		needed, err := part.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %d seed%d", needed[0].Option, needed[0].Budget, needed[0].Seed); got != all[n] {
			t.Fatalf("after %d runs comes %s, want %s", n, got, all[n])
		}
		if err := part.Add(world(converging).record(needed[0])); err != nil {
			t.Fatal(err)
		}
	}
}

// The data that decides may be another one than the climb's, and all other data that every run has
// are compared, too.
func TestJudgedByOtherData(t *testing.T) {
	r := &Results{Matrix: matrix(t, matrixText+"judge = \"kit:report\"\n")}
	harder := world(func(option string, budget int) (int, float64) {
		wrong, loss := converging(option, budget)
		return 2 * wrong, 2 * loss
	})
	for range 100 {
		needed, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if len(needed) == 0 {
			break
		}
		record := world(converging).record(needed[0])
		set := harder.record(needed[0]).Sets[0]
		set.Name = "kit:report 5678"
		record.Sets = append(record.Sets, set)
		if err := r.Add(record); err != nil {
			t.Fatal(err)
		}
	}
	l := analyze(t, r)
	if !slices.Equal(l.Sets, []string{"kit:report 5678", "kit:choose 1234"}) || l.Best.Budget != 1600 || l.C.Budget != 800 {
		t.Errorf("the data are %q, Q* %d, C %d", l.Sets, l.Best.Budget, l.C.Budget)
	}
	other := world(converging).record(recipes.MatrixRun{Encoder: "vit", LLM: "opt", Option: "warm", Budget: 3, Seed: 1})
	r.Runs = append(r.Runs, other)
	if _, err := r.Analyze("vit", "opt"); err == nil || !strings.Contains(err.Error(), `was not measured on "kit:report"`) {
		t.Errorf("a run without the deciding data: %v", err)
	}
}

// Captions of different pictures are not paired.
func TestOtherPicturesAreRefused(t *testing.T) {
	r := &Results{Matrix: matrix(t, matrixText)}
	world(converging).climb(t, r)
	for what, change := range map[string]func(*Set){
		"number": func(s *Set) { s.Exact = s.Exact[:10] }, "none": func(s *Set) { s.Exact = nil }, "loss": func(s *Set) { s.Loss = 0 },
		"digest": func(s *Set) { s.Name = "kit:choose 9999" },
	} {
		changed := &Results{Matrix: r.Matrix, Runs: slices.Clone(r.Runs)}
		i := slices.IndexFunc(changed.Runs, func(r Record) bool { return r.Option == "warm" })
		changed.Runs[i].Sets = slices.Clone(changed.Runs[i].Sets)
		change(&changed.Runs[i].Sets[0])
		l, err := changed.Analyze("vit", "opt")
		if err == nil {
			_, err = l.Verdicts("kit:choose 1234")
		}
		if err == nil || !strings.Contains(err.Error(), "_warm_57steps_seed1") {
			t.Errorf("%s: got %v, want an error that names the run", what, err)
		}
	}
}

func TestSecondsAreCountsTimesPrices(t *testing.T) {
	r := Record{Steps: 10, Batch: 4, Cost: Cost{Counts: &cost.Count{LanguagePasses: 60, PicturesEncoded: 5, PicturesCached: 15}}}
	if r.Passes() != 60 || (Record{Steps: 10, Batch: 4}).Passes() != 40 {
		t.Errorf("passes %v, without counts %v", r.Passes(), (Record{Steps: 10, Batch: 4}).Passes())
	}
	if s, ok := r.Seconds(&cost.Prices{LanguagePass: 0.5, PictureEncoded: 0.25, Step: 1}); s != 35 || !ok {
		t.Errorf("got %v seconds, %v, want 35", s, ok)
	}
	for what, prices := range map[string]*cost.Prices{"no price for pictures": {LanguagePass: 0.5}, "none": nil} {
		if s, ok := r.Seconds(prices); ok {
			t.Errorf("%s: got %v seconds", what, s)
		}
	}
	l := Ladder{Rules: recipes.Ladder{PassSeconds: &cost.Prices{LanguagePass: 0.5, PictureEncoded: 0.25}}, unswapped: map[string]bool{"ceiling": true}}
	if s, ok := l.Seconds(Rung{Option: "cold", Records: []Record{r}}); s != 35 || !ok {
		t.Errorf("a rung takes %v seconds, %v, want 35", s, ok)
	}
	if s, ok := l.Seconds(Rung{Option: "ceiling", Records: []Record{r}}); ok {
		t.Errorf("the bridge's own models take %v seconds at the price of others", s)
	}
}
