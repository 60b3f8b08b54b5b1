package comparison

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/workspace"
)

// pairFile is a file of results with options that have different seeds, a part of
// docs/swapping/opt-to-small-opt.results.json.
var pairFile = filepath.Join("..", "ladder", "testdata", "pair"+ladder.Extension)

var batch4 = ladder.RungName{Option: "cold-batch-4", Budget: 3200}

// rowOf returns the row of an option and a budget.
func rowOf(t *testing.T, rows []string, name string) string {
	t.Helper()
	for _, row := range rows {
		if strings.HasPrefix(row, name+" | ") {
			return row
		}
	}
	t.Fatalf("no row %q in\n%s", name, strings.Join(rows, "\n"))
	return ""
}

// With --against, the table of quality compares with the rung over the common seeds, and nothing else
// changes, except that what is said of Q* is left out. The figures are those of
// tools/reference/intervals.py (runs/ladder/testdata/intervals.json).
func TestAgainstARung(t *testing.T) {
	usual, c := gather(t, Options{}, pairFile), gather(t, Options{Against: batch4}, pairFile)
	if got, want := tableNamed(t, c, "Cost of a cold start"), tableNamed(t, usual, "Cost of a cold start"); !slices.Equal(got, want) {
		t.Errorf("the cost of a cold start is %q, want %q", got, want)
	}
	tables := c.LadderTables()
	if len(tables) != 2 {
		t.Fatalf("%d tables, want those of the climb and the quality", len(tables))
	}
	if got, want := tables[1].Header[8:], []string{"common seeds", "less cold-batch-4@3200", "loss by cold-batch-4@3200's", "not inferior"}; !slices.Equal(got, want) {
		t.Errorf("the header ends with %q, want %q", got, want)
	}
	rows := tableNamed(t, c, "Quality over cost")
	for name, want := range map[string]string{
		"words-batch-4 | 320": " | 0.949 (0.936 to 0.962) | 5 | -0.010 (-0.020 to -0.001) | 1.31 (0.95 to 1.80) | no",
		"cold-batch-4 | 3200": " | 5 | +0.000 (+0.000 to +0.000) | 1.00 (1.00 to 1.00) | yes",
		"cold-long | 3200":    " | 0.0161 | 0.962 (0.949 to 0.973) | 1 | +0.009 (-0.003 to +0.021) | 0.95 | yes",
	} {
		if row := rowOf(t, rows, name); !strings.HasSuffix(row, want) {
			t.Errorf("%s, want %s", row, want)
		}
	}
	want := []string{"tiny-vit + small-opt: exact match and loss are compared with those of cold-batch-4@3200 (51.2k passes) in place of Q*, over the common seeds."}
	if got := c.Sentences(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	checkReportAgainst(t, c)
}

func checkReportAgainst(t *testing.T, c *Comparison) {
	t.Helper()
	page := reportOf(t, c)
	for text, want := range map[string]bool{"less cold-batch-4@3200": true, "are compared with those of cold-batch-4@3200": true, "less Q*": false, "Q*: cold": false} {
		plain := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(page)
		if strings.Contains(plain, text) != want {
			t.Errorf("the report has %q: %v, want %v", text, !want, want)
		}
	}
}

// The rung without a common seed has no comparison, in the table and in JSON.
func TestAgainstARungWithoutACommonSeed(t *testing.T) {
	c := gather(t, Options{Against: ladder.RungName{Option: "cold-long"}}, pairFile)
	if row := rowOf(t, tableNamed(t, c, "Quality over cost"), "second-donor | 80"); !strings.HasSuffix(row, " | 0.840 (0.817 to 0.862) | 0 | - | - | -") {
		t.Errorf("got %s", row)
	}
	lines := map[string]string{}
	for _, line := range c.Lines() {
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := line.(rungLine); ok {
			lines[r.Option] = string(text)
		} else {
			lines["ladder"] = string(text)
		}
	}
	against := `"against":{"option":"cold-long","budget":3200`
	for line, want := range map[string]string{
		"ladder": against + `,"runs":1}}`, "second-donor": `,` + against + `},"seeds_paired":0,"of_c_passes":0.025,"of_c_bound":"~"}`,
		"cold-long": against + `},"exact_match_less_against":{"mean":0,"low":0,"high":0},"loss_by_against":{"mean":1},"seeds_paired":1,"not_inferior":true,"better":false,`,
	} {
		if !strings.Contains(lines[line], want) || strings.Contains(lines[line], "less_q") || strings.Contains(lines[line], "loss_by_q") {
			t.Errorf("the line of %s is %s, want %s", line, lines[line], want)
		}
	}
}

// As few exact captions as a rung that leaves objects unnamed show nothing, and the sentence says so.
func TestAgainstARungOnAPlateau(t *testing.T) {
	j := gather(t, Options{Against: batch4}, pairFile).judged()[0]
	for exact, want := range map[float64]bool{0.51: false, 0.49: true} {
		for i, v := range j.verdicts {
			if v.Name() == batch4 {
				j.verdicts[i].Exact.Mean = exact
			}
		}
		if got := j.againstSentence(); strings.Contains(got, `Its exact match is below 0.5, so "yes" shows nothing`) != want {
			t.Errorf("with %v: %s", exact, got)
		}
	}
}

// twoModels writes the file of results with a second language model, for which the cold start alone has runs.
func twoModels(t *testing.T) string {
	t.Helper()
	r, err := ladder.Read(pairFile)
	if err != nil {
		t.Fatal(err)
	}
	r.Matrix.LLMs = append(r.Matrix.LLMs, "tiny-opt")
	for _, record := range slices.Clone(r.Runs) {
		if record.LLM = "tiny-opt"; record.Option == "cold" {
			if err := r.Add(record); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "two"+ladder.Extension)
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Of several combinations, the tables of those that have the rung compare with it, and the others say that
// they lack it.
func TestAgainstARungOfSomeCombinations(t *testing.T) {
	c := gather(t, Options{Against: batch4}, twoModels(t))
	if row := rowOf(t, tableNamed(t, c, "Quality over cost: tiny-vit + small-opt"), "words-batch-4 | 320"); !strings.HasSuffix(row, "| -0.010 (-0.020 to -0.001) | 1.31 (0.95 to 1.80) | no") {
		t.Errorf("got %s", row)
	}
	rows := tableNamed(t, c, "Quality over cost: tiny-vit + tiny-opt on kit:report 0eec310d (there is no run of cold-batch-4@3200 to compare with)")
	if len(rows) != 1 || !strings.HasSuffix(rows[0], " | 0 | - | - | -") {
		t.Errorf("got %q", rows)
	}
	if got := c.Sentences(); len(got) != 2 || got[1] != "tiny-vit + tiny-opt: there is no run of cold-batch-4@3200, so nothing is compared." {
		t.Errorf("got %q", got)
	}
}

// A rung that no ladder has is refused with what there is, if possible before anything is trained.
func TestAgainstAnUnknownRung(t *testing.T) {
	two, err := filepath.Abs(twoModels(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"plain.toml": "encoders = ['a']\nllms = ['b']\n", "tiny.toml": tinyMatrix} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ against, arg, want string }{
		{"wrods-batch-4", two, "there is no option wrods-batch-4; did you mean words-batch-4? (the options are cold, cold-batch-4, cold-long, second-donor, words-batch-4)"},
		{"cold-batch-4@3201", two, "tiny-vit + small-opt has cold-batch-4@1600, cold-batch-4@3200; tiny-vit + tiny-opt has runs of cold"},
		{"wram", "tiny.toml", "there is no option wram; did you mean warm? (the options are broken, ceiling, cold, until, warm)"},
		{"cold", "plain.toml", "needs a matrix with a table [ladder]"}, {"cold", "runs/x", "needs a matrix with a table [ladder]"},
	} {
		name, err := ladder.ParseRungName(c.against)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Gather(t.Context(), workspace.New(workspace.Options{}), []string{c.arg}, Options{Against: name})
		if err == nil || !strings.Contains(err.Error(), "--against "+c.against) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %s: got %v, want %q", c.against, c.arg, err, c.want)
		}
	}
}
