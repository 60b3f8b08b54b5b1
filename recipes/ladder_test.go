package recipes

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"
)

// The matrix in the method of docs/swapping.md is one, with the defaults that the page says.
func TestTheDocumentedLadder(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "swapping.md"))
	must(t, err)
	text := regexp.MustCompile("(?s)```toml\n(.*?)```").FindSubmatch(page)
	if text == nil {
		t.Fatal("the page has no TOML")
	}
	m, err := ParseMatrix("page.toml", text[1])
	must(t, err)
	want := *defaultLadder()
	want.Baseline, want.Examples, want.Judge = "cold", 400_000, "kit:report"
	if !reflect.DeepEqual(*m.Ladder, want) || want.LossGain != 0.02 || want.ExactGain != 0.01 || want.Plateau != 0.5 || want.Margin != 0.01 || want.LossRatio != 1.1 {
		t.Errorf("the page's ladder is %+v, want %+v", *m.Ladder, want)
	}
	for option, want := range map[string][]float64{"cold": nil, "cold-long": nil, "warm": {0.1, 0.2, 0.5, 1}, "ceiling": {0.1, 0.2, 0.5, 1}} {
		if got := m.FractionsOf(option); !slices.Equal(got, want) {
			t.Errorf("%s runs with %v of C, want %v", option, got, want)
		}
	}
	if !slices.Equal(m.SeedsOf("ceiling"), []uint64{1}) || len(m.SeedsOf("warm")) != 5 {
		t.Errorf("seeds %v and %v", m.SeedsOf("ceiling"), m.SeedsOf("warm"))
	}
	text2, err := m.Encode()
	must(t, err)
	back, err := ParseMatrix("page", text2)
	must(t, err)
	if !reflect.DeepEqual(back, m) {
		t.Errorf("the matrix comes back as\n%+v\nwant\n%+v", back, m)
	}
}

func TestProblemsOfLadders(t *testing.T) {
	const good = "encoders = ['a']\nllms = ['b']\n[ladder]\nexamples = 100\n[options.cold]\ncold = true\n"
	_, err := ParseMatrix("m.toml", []byte(good))
	must(t, err)
	for text, want := range map[string]string{
		"encoders = ['a']\nllms = ['b']\n[ladder]\nexamples = 0\n[options.cold]\ncold = true\n":                         "ladder.examples: is 0, want the largest number",
		"encoders = ['a']\nllms = ['b']\n[ladder]\nexamples = 9\n":                                                      "ladder.baseline: is empty, and 0 options have cold = true",
		good + "[options.b]\ncold = true\n":                                                                             "ladder.baseline: is empty, and 2 options have cold = true",
		good + "[options.w]\nfractions = [0.1, 0]\n":                                                                    "options.w.fractions: is [0.1 0], want numbers above 0",
		good + "[options.w]\nbudgets = [0]\n":                                                                           "options.w.budgets: is [0], want positive numbers",
		good + "budgets = [1]\n":                                                                                        "options.cold: is the baseline of the ladder",
		good + "[options.w]\nseeds = [2]\n":                                                                             "options.w.seeds: has 2, which is not one of the matrix's [1]",
		good + "[options.w]\nfrom = 'runs/x'\n":                                                                         "options.w.from: is given, and recipe is empty",
		good + "[options.w]\nunswapped = true\ncold = true\n":                                                           "options.w: has cold and unswapped",
		good + "[ladder.pass_seconds]\nlanguage_pas = 1\n":                                                              "did you mean ladder.pass_seconds.language_pass?",
		good + "[ladder.pass_seconds]\nstep = -1.0\n":                                                                   "ladder.pass_seconds: has -1, want seconds",
		"encoders = ['a']\nllms = ['b']\n[options.w]\nclimb = true\n":                                                   "options.w: has a key about budgets, but the matrix has no table [ladder]",
		"encoders = ['a']\nllms = ['b', 'c']\n[options.cold]\ncold = true\n[ladder]\nexamples = 9\npass_seconds = {}\n": "is given for 1 encoders and 2 language models",
		"encoders = ['a']\nllms = ['b']\n[options.cold]\ncold = true\n[ladder]\nexamples = 9\nbaseline = 'x'\nmargin = 2\nloss_ratio = 0.5\n": `ladder.baseline: is "x", which is not an option`,
	} {
		_, err := ParseMatrix("m.toml", []byte(text))
		wantProblems(t, err, want)
	}
}

// A budget takes the place of all steps, and the warm-ups keep their share or, if the option says
// so, the projection's its steps.
func TestWithSteps(t *testing.T) {
	reg := newRegistry(t)
	r, err := load(t, "tiny-retrain", "from=kit:stage2", "swap.warmup_steps=100", "optimizer.steps=300", "optimizer.warmup=20").Resolve(reg) // 100 and 300 steps, 20 of warm-up
	must(t, err)
	for _, c := range []struct {
		total                       int
		keep                        bool
		projection, steps, learning int
	}{
		{400, false, 100, 300, 20}, {800, false, 200, 600, 40}, {100, false, 25, 75, 5}, {10, false, 3, 7, 1}, {1, false, 0, 1, 1}, {2, false, 1, 1, 1},
		{800, true, 100, 700, 47}, {100, true, 50, 50, 3}, {1, true, 0, 1, 1},
	} {
		got := r.WithSteps(c.total, c.keep)
		if got.Swap.WarmupSteps != c.projection || got.Optimizer.Steps != c.steps || got.Optimizer.Warmup != c.learning || got.TotalSteps() != c.total {
			t.Errorf("%+v: got %d, %d and %d", c, got.Swap.WarmupSteps, got.Optimizer.Steps, got.Optimizer.Warmup)
		}
	}
	if r.TotalSteps() != 400 || r.Swap.WarmupSteps != 100 {
		t.Errorf("the recipe was changed: %+v", r.Swap)
	}
	if got := r.Cold("kit:stage1"); got.TotalSteps() != 400 || got.Swap != nil {
		t.Errorf("the cold start has %d steps", got.TotalSteps())
	}
}

func TestStepsFor(t *testing.T) {
	for want, c := range map[int][3]int{100: {100, 64, 64}, 400: {100, 64, 16}, 57: {113, 32, 64}, 1: {1, 1, 64}} {
		if got := StepsFor(c[0], c[1], c[2]); got != want {
			t.Errorf("%v: got %d, want %d", c, got, want)
		}
	}
}
