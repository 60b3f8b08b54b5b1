package ladder

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/train/cost"
)

// Results come back from their file as they were, in less than 300 kB for 200 runs.
func TestResultsFile(t *testing.T) {
	r := &Results{Matrix: matrix(t, matrixText+"[ladder.pass_seconds]\nlanguage_pass = 0.01\n")}
	world(converging).climb(t, r)
	exact := 0.25
	r.Runs[0].Before = &Before{Loss: 1.5, Exact: &exact}
	r.Runs[0].Cost = Cost{Counts: &cost.Count{LanguagePasses: 7}, Measured: 1.25}
	path := filepath.Join(t.TempDir(), "test"+Extension)
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Runs, r.Runs) || !reflect.DeepEqual(got.Matrix.Ladder, r.Matrix.Ladder) ||
		got.Matrix.Name != "test" || len(got.Matrix.Options) != 4 || !got.Matrix.Options["cold"].Cold {
		t.Errorf("got %+v of %+v", got.Matrix, got.Runs[0])
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if one := len(text) / len(r.Runs); one > 1500 {
		t.Errorf("a run takes %d bytes, want few: 200 runs with 2000 pictures each shall stay below 300 kB", one)
	}
	if lines := strings.Count(string(text), "\n    {"); lines != len(r.Runs) {
		t.Errorf("%d lines of runs, want one for each of %d", lines, len(r.Runs))
	}
}

// Results of two machines are merged. What they share must agree.
func TestMerge(t *testing.T) {
	whole := &Results{Matrix: matrix(t, matrixText)}
	world(converging).climb(t, whole)
	one, two := &Results{Matrix: matrix(t, matrixText)}, &Results{Matrix: matrix(t, strings.Replace(matrixText, "[options.along]\nclimb = true\n", "", 1))}
	for i, record := range whole.Runs {
		if record.Measured = 9; i%3 > 0 {
			one.Runs = append(one.Runs, record)
		}
		if record.Measured = 8; i%3 < 2 && record.Option != "along" {
			two.Runs = append(two.Runs, record)
		}
	}
	if err := two.Merge(one); err != nil {
		t.Fatal(err)
	}
	for _, record := range whole.Runs {
		if got, ok := two.Find(record.MatrixRun); record.Option != "along" && (!ok || !reflect.DeepEqual(got.Sets, record.Sets)) {
			t.Errorf("%s is missing or another one", record.Name())
		}
	}
	if _, ok := two.Matrix.Options["along"]; !ok {
		t.Error("the option that only one machine had is missing")
	}
	other := &Results{Matrix: matrix(t, matrixText)}
	changed := world(func(string, int) (int, float64) { return 7, 0.5 }).record(whole.Runs[0].MatrixRun)
	other.Runs = append(other.Runs, changed)
	if err := whole.Merge(other); err == nil || !strings.Contains(err.Error(), "two runs "+changed.Name()+" with different results") {
		t.Errorf("two results of one run: %v", err)
	}
	for key, text := range map[string]string{
		"recipe of test is": strings.Replace(matrixText, "tiny-retrain", "tiny-demo", 1), "options.warm of test": strings.Replace(matrixText, "[options.warm]", "[options.warm]\nset = ['seed=3']", 1),
		"set of test": "set = ['seed=1']\n" + matrixText,
	} {
		if err := whole.Merge(&Results{Matrix: matrix(t, text)}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want an error about %s", err, key)
		}
	}
}

func TestDamagedResults(t *testing.T) {
	r := &Results{Matrix: matrix(t, matrixText)}
	world(converging).climb(t, r)
	good, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x"+Extension)
	for want, change := range map[string][2]string{
		"is not a list of bits": {`"exact":"2000:`, `"exact":"2001:`}, "has the format": {format, "bridge ladder results 9"},
		"lacks its sets": {`"batch":10`, `"batch":0`}, "not valid JSON": {`"runs"`, `runs`}, "unknown key": {`"seeds = `, `"sheds = `},
		"no table [ladder]":                   {`[ladder]`, `[options.x]`},
		"the run vit_opt_never_50steps_seed2": {`"option":"early"`, `"option":"never"`}, "the run other_opt_": {`"encoder":"vit"`, `"encoder":"other"`},
		"the run vit_other_": {`"llm":"opt"`, `"llm":"other"`}, "_seed9": {`"seed":2`, `"seed":9`},
	} {
		text := strings.Replace(string(good), change[0], change[1], 1)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := Read(path + ".none"); err == nil {
		t.Error("a missing file is read")
	}
}

func TestBits(t *testing.T) {
	for want, bits := range map[string]Bits{"0:": {}, "3:05": {true, false, true}, "9:0001": {8: true}} {
		text, err := bits.MarshalText()
		var back Bits
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || !reflect.DeepEqual(back, bits) {
			t.Errorf("got %s and %v (%v), want %s", text, back, err, want)
		}
	}
	for _, wrong := range []string{"", "3", "3:0", "3:ff", "3:0505", "x:05", "-1:", "8:zz"} {
		var b Bits
		if err := b.UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q is read as %v", wrong, b)
		}
	}
}
