package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// compare --against compares the options of a ladder with a rung of the user's choice.
func TestCompareAgainst(t *testing.T) {
	file := filepath.Join("..", "..", "runs", "ladder", "testdata", "pair.results.json")
	stdout, _ := mustExit(t, exitDone, "compare", file, "--against", "cold-batch-4@3200")
	for _, want := range []string{"less cold-batch-4@3200", "-0.010 (-0.020 to -0.001)", "in place of Q*"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	stdout, _ = mustExit(t, exitDone, "compare", "--against=cold-long", file, "--json")
	if !strings.Contains(stdout, `"against":{"option":"cold-long","budget":3200,"runs":1}`) {
		t.Errorf("got %s", stdout)
	}
	for against, want := range map[string]string{
		"cold@3201": "there is no such run; tiny-vit + small-opt has cold@3200", "cold@x": `--against: "cold@x" has the budget "x"`, "": `--against: "" names no option`,
		"warm": "there is no option warm (the options are cold, cold-batch-4, cold-long, second-donor, words-batch-4)",
	} {
		if _, stderr := mustExit(t, exitUsage, "compare", file, "--against", against); !strings.Contains(stderr, want) {
			t.Errorf("--against %q: %s, want %q", against, stderr, want)
		}
	}
}
