package comparison

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/runs/report"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/workspace"
)

// madeUp writes a file of results in which the cold start converges at 400 steps, needs 141 to be
// not inferior, and warm needs a fifth of that.
func madeUp(t *testing.T) (path string) {
	t.Helper()
	m, err := recipes.ParseMatrix("made-up.toml", []byte(`recipe = "tiny-retrain"
encoders = ["tiny-vit"]
llms = ["small-opt"]
seeds = [1, 2]
[options.cold]
cold = true
[options.warm]
[options.ceiling]
unswapped = true
budgets = [7]
[ladder]
examples = 100_000
[ladder.pass_seconds]
language_pass = 0.01
`))
	if err != nil {
		t.Fatal(err)
	}
	r := &ladder.Results{Matrix: m}
	wrong := map[string]int{"cold100": 90, "cold141": 32, "cold200": 31, "cold400": 30, "warm14": 200, "warm28": 31, "warm71": 30, "warm141": 10, "ceiling7": 0}
	loss := map[string]float64{"cold100": 0.05, "cold141": 0.0106, "cold200": 0.0101, "cold400": 0.0100, "warm14": 0.1, "warm28": 0.0105, "warm71": 0.0101, "warm141": 0.0095, "ceiling7": 0.001}
	for {
		needed, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if len(needed) == 0 {
			break
		}
		run := needed[0]
		key := fmt.Sprint(run.Option, run.Budget)
		if loss[key] == 0 {
			t.Fatalf("the ladder asks for %s", key)
		}
		exact := make(ladder.Bits, 1000)
		for i := range exact {
			exact[i] = i >= wrong[key]
		}
		record := ladder.Record{MatrixRun: run, Steps: run.Budget, Batch: 64,
			Sets:   []ladder.Set{{Name: "kit:held-out 1234", Loss: loss[key] * (1 + 0.01*float64(run.Seed)), Exact: exact}},
			Before: &ladder.Before{Loss: 1.5 + 0.1*float64(run.Seed)},
			Cost:   ladder.Cost{Counts: &cost.Count{LanguagePasses: int64(64 * run.Budget)}}}
		if err := r.Add(record); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join(t.TempDir(), "made-up"+ladder.Extension)
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func gather(t *testing.T, o Options, args ...string) *Comparison {
	t.Helper()
	c, _, err := Gather(t.Context(), workspace.New(workspace.Options{}), args, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tableNamed returns the rows of a table, each joined.
func tableNamed(t *testing.T, c *Comparison, title string) (rows []string) {
	t.Helper()
	all := c.Tables()
	i := slices.IndexFunc(all, func(t report.Table) bool { return strings.HasPrefix(t.Title, title) })
	if i < 0 {
		t.Fatalf("no table %q", title)
	}
	for _, row := range all[i].Rows {
		if len(row) != len(all[i].Header) {
			t.Errorf("%q has %d cells for %d columns", row, len(row), len(all[i].Header))
		}
		rows = append(rows, strings.Join(row, " | "))
	}
	return rows
}

// A swap with as few exact captions as a Q* that leaves objects unnamed is no success.
func TestOnAPlateauASwapMustBeBetter(t *testing.T) {
	j := gather(t, Options{}, madeUp(t)).judged()[0]
	for _, c := range []struct {
		exact  float64
		budget int // of the cheapest
	}{{0.51, 28}, {0.49, 141}} {
		for i, v := range j.verdicts {
			if v.Option == "cold" && v.Budget == j.Best.Budget {
				j.verdicts[i].Exact.Mean = c.exact
			}
		}
		if all := j.cheapest(); len(all) != 1 || all[0].Budget != c.budget {
			t.Errorf("Q* with %v: got %+v, want warm with %d steps", c.exact, all, c.budget)
		}
	}
}

// The tables, the lines of JSON and the report of a ladder need its file of results alone.
func TestLadderFromItsFile(t *testing.T) {
	path := madeUp(t)
	c := gather(t, Options{}, path, path) // twice the same is once
	for title, want := range map[string][]string{
		"Cost of a cold start": {"tiny-vit + small-opt | cold | converged | 400 | 0.0101 (0.0095 to 0.0108) | 0.970 (0.959 to 0.980) | 141 | 9k | 90 | 0"},
		"Cheapest budget":      {"tiny-vit + small-opt | kit:held-out 1234 | warm | 28 | 0.199 | 0.199 | -0.001 (-0.003 to +0.000) | 1.05 (1.05 to 1.05)"},
	} {
		if got := tableNamed(t, c, title); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", title, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	rows := tableNamed(t, c, "Quality over cost: tiny-vit + small-opt on kit:held-out 1234")
	if len(rows) != 9 || !strings.HasPrefix(rows[0], "cold | 100 | 2 | 6.4k | 64 | 0.709 |") || !strings.HasSuffix(rows[0], "| no | 1.6500 (1.0147 to 2.2853) | -") ||
		!strings.Contains(rows[3], "| yes |") || !strings.HasPrefix(rows[8], "warm | 141 | 2 | 9k | 90 | 1 |") || !strings.Contains(rows[8], "| better |") ||
		!strings.HasPrefix(rows[4], "ceiling | 7 | 2 | 448 | - | 0.0496 |") {
		t.Errorf("quality over cost:\n%s", strings.Join(rows, "\n"))
	}
	sentences := c.Sentences()
	if want := "tiny-vit + small-opt: warm is not inferior to Q* at 0.2 of the cost C of cold (difference in exact match -0.001 (-0.003 to +0.000))."; len(sentences) != 1 || sentences[0] != want {
		t.Errorf("got %q, want %q", sentences, want)
	}
	checkLines(t, c)
	page := reportOf(t, c)
	for _, want := range []string{"Exact match over cost", "Held-out loss over cost", "language-model passes", ">seconds<", "Q*: cold@400", "A budget counts steps at the baseline", "is not inferior to Q*"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report has no %q", want)
		}
	}
}

func checkLines(t *testing.T, c *Comparison) {
	t.Helper()
	lines := c.Lines()
	if len(lines) != 10 {
		t.Fatalf("%d lines, want the ladder and 9 budgets", len(lines))
	}
	for i, want := range map[int]string{
		0: `{"ladder":"made-up","encoder":"tiny-vit","llm":"small-opt","baseline":"cold","held_out_data":["kit:held-out 1234"],"climb":"converged",` +
			`"q_budget":400,"c":{"budget":141,"bound":"=","language_passes":9024,"seconds":90.24},"next_runs":0}`,
		9: `"not_inferior":true,"better":true,"of_c_passes":1,"of_c_seconds":1,"of_c_bound":"="}`,
	} {
		text, err := json.Marshal(lines[i])
		if err != nil || !strings.HasSuffix(string(text), want) {
			t.Errorf("line %d is %s (%v), want %s", i, text, err, want)
		}
	}
}

// tinyMatrix is a ladder of two rungs, with 1 and 2 steps of 4 pictures, whose runs take seconds.
const tinyMatrix = `recipe = "tiny-retrain"
encoders = ["tiny-vit"]
llms = ["tiny-flan-t5"]
set = ["data.train={id=\"kit:train\",pictures=16}", "data.eval={id=\"kit:held-out\",pictures=8}", "vision.isolation=none", "language.isolation=none",
  "optimizer.batch=4", "optimizer.steps=300", "optimizer.warmup=1", "swap.warmup_steps=100", "swap.warmup_images=8", "evaluation.every=0", "evaluation.examples=4",
  "evaluation.captions=0", "evaluation.final_captions=4", "evaluation.also=[\"kit:style\"]", "run.backend=go", "run.checkpoint_every=0"]
[options.cold]
cold = true
[options.warm]
budgets = [2]
[options.ceiling]
unswapped = true
budgets = [1]
[options.broken]
budgets = [1]
set = ["swap.warmup_images=1"]
[options.until]
budgets = [1]
set = ["evaluation.until=old"]
[ladder]
base = 1
examples = 8
`

// A real ladder trains its runs once, the cheapest first, with the steps of their budgets. A run
// that fails does not stop it, and its file of results makes the same tables.
func TestTinyLadder(t *testing.T) {
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	testenv.Cache(t)
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	t.Chdir(t.TempDir())
	if err := os.WriteFile("tiny.toml", []byte(tinyMatrix), 0o644); err != nil {
		t.Fatal(err)
	}
	if none := gather(t, Options{Out: "out", Limit: new(0)}, "tiny.toml"); !none.Empty() || none.Err() == nil || !strings.Contains(none.Err().Error(), "no run is finished") {
		t.Errorf("before any run: %+v, %v", none, none.Err())
	}
	first := gather(t, Options{Out: "out", Limit: new(1), Only: []string{"cold"}}, "tiny.toml")
	if len(first.Climbs) != 1 || first.Climbs[0].Missing != 5 || first.Climbs[0].Best != nil {
		t.Errorf("after one run: %+v", first.Climbs)
	}
	c := gather(t, Options{Out: "out", Results: "all" + ladder.Extension}, "tiny.toml")
	if len(c.Failed) != 2 || c.Failed[0].Option != "broken" || !strings.Contains(c.Failed[1].Err.Error(), "evaluation.until") || len(c.Climbs) != 1 || c.Climbs[0].End != ladder.Limit || c.Climbs[0].Best.Budget != 2 {
		t.Fatalf("failed %v, climbs %+v", c.Failed, c.Climbs)
	}
	checkSteps(t)
	if got := c.Sentences(); !slices.Equal(got, []string{"tiny-vit + tiny-flan-t5: 4 captions are too few for a conclusion."}) {
		t.Errorf("the conclusion is %q", got)
	}
	checkCounts(t, c)
	if !slices.ContainsFunc(c.Variants, func(v *Variant) bool { return v.Name == "tiny-vit + tiny-flan-t5, cold@2" }) {
		t.Error("no combination is named after the runs cold@2")
	}
	want := tableNamed(t, c, "Quality over cost")
	against := gather(t, Options{Out: "out", Limit: new(0), Against: ladder.RungName{Option: "warm"}}, "tiny.toml")
	if rows := tableNamed(t, against, "Quality over cost"); len(rows) != len(want) || !strings.HasSuffix(rows[len(rows)-1], " | 1 | +0.000 (+0.000 to +0.000) | 1.00 | yes") {
		t.Errorf("against warm:\n%s", strings.Join(rows, "\n"))
	}
	for _, o := range []struct {
		options Options
		args    []string
	}{
		{Options{Out: "out", Limit: new(0)}, []string{"tiny.toml"}},                                          // nothing is trained again
		{Options{}, []string{filepath.Join("out", "tiny"+ladder.Extension)}},                                 // from the file
		{Options{Out: "elsewhere", Limit: new(0), Results: "all" + ladder.Extension}, []string{"tiny.toml"}}, // another machine
	} {
		if got := tableNamed(t, gather(t, o.options, o.args...), "Quality over cost"); !slices.Equal(got, want) {
			t.Errorf("%+v: got\n%s\nwant\n%s", o, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// checkSteps checks that the tiny ladder's runs have the steps of their budgets, and that the
// ceiling keeps the bridge's own language model.
func checkSteps(t *testing.T) {
	t.Helper()
	for name, want := range map[string][2]int{ // steps of the optimizer and of the projection's warm-up
		"tiny-vit_tiny-flan-t5_cold_1steps_seed1": {1, 0}, "tiny-vit_tiny-flan-t5_cold_2steps_seed1": {2, 0}, "tiny-vit_tiny-flan-t5_warm_2steps_seed1": {1, 1},
		"tiny-vit_tiny-flan-t5_ceiling_1steps_seed1": {1, 0},
	} {
		r, err := recipes.Load(filepath.Join("out", name, recipes.RunFile))
		if err != nil {
			t.Error(err)
			continue
		}
		warmup := 0
		if r.Swap != nil {
			warmup = r.Swap.WarmupSteps
		}
		if r.Optimizer.Steps != want[0] || warmup != want[1] {
			t.Errorf("%s has %d and %d steps, want %v", name, r.Optimizer.Steps, warmup, want)
		}
		if ceiling := strings.Contains(name, "ceiling"); ceiling != (r.Language.ID == "tiny-opt") {
			t.Errorf("%s has the language model %s", name, r.Language.ID)
		}
	}
}

// checkCounts checks that the tiny ladder has both test sets, and the passes of its budgets: four
// examples a step.
func checkCounts(t *testing.T, c *Comparison) {
	t.Helper()
	if sets := c.Climbs[0].Sets; len(sets) != 2 || !strings.HasPrefix(sets[0], "kit:held-out ") || !strings.HasPrefix(sets[1], "kit:style ") {
		t.Errorf("the ladder has the data %q", sets)
	}
	verdicts, err := c.Climbs[0].Verdicts(c.Climbs[0].Sets[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if counts := v.Records[0].Counts; counts == nil || v.Passes() != float64(4*v.Budget) || v.Loss.Mean <= 0 || len(v.Records[0].Sets[1].Exact) != 4 {
			t.Errorf("%s with %d steps has %v passes of %+v, and %+v", v.Option, v.Budget, v.Passes(), counts, v.Records[0].Sets)
		}
	}
}

// Only a ladder can be trained in parts, and only by its own options.
func TestLadderOptionsNeedALadder(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"plain.toml": "encoders = ['a']\nllms = ['b']\n", "tiny.toml": tinyMatrix} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		options   Options
		arg, want string
	}{
		{Options{Limit: new(0)}, "plain.toml", "has no table [ladder]"}, {Options{Only: []string{"warm"}}, "plain.toml", "has no table [ladder]"},
		{Options{Results: "x"}, "runs/x", "is not a matrix"}, {Options{Only: []string{"wram"}}, "tiny.toml", "no such option, only broken, ceiling, cold, until, warm"},
	} {
		if _, _, err := Gather(t.Context(), workspace.New(workspace.Options{}), []string{c.arg}, c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c, err, c.want)
		}
	}
}

// reportOf returns the page of a comparison's report.
func reportOf(t *testing.T, c *Comparison) string {
	t.Helper()
	dir := t.TempDir()
	if err := c.WriteReport(workspace.New(workspace.Options{}), dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, runs.ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
