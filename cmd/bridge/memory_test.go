package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestRecipesShowListsTheProcesses(t *testing.T) {
	stdout, _ := mustExit(t, exitDone, "recipes", "show", "vit-g-opt-2.7b-stage2")
	for _, want := range []string{"\n# Estimated ", " at the peaks of 3 processes together\n", "\n#   run ", "\n#   vision ", "\n#   language ",
		" weights of opt-2.7b", " weights of eva-vit-g", " weights and moments"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	gpu, _ := mustExit(t, exitDone, "recipes", "show", "--backend", "xla:cuda", "vit-g-opt-2.7b-stage2")
	if !strings.Contains(gpu, "\n# Estimated GPU memory: ") || strings.Contains(gpu, "xla:cuda") {
		t.Errorf("want the recipe as it is, with a GPU's memory; got\n%s", gpu)
	}
	stdout, _ = mustExit(t, exitDone, "recipes", "show", "--json", "tiny-stage2-opt")
	var shown struct {
		Name, Text string
		Parameters struct{ Trainable int }
		Memory     struct {
			GPU       bool
			Processes []struct {
				Process, Model string
				Known          bool
				Parts          []struct {
					Holds string
					Bytes int64
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if len(shown.Memory.Processes) != 3 || shown.Parameters.Trainable != 944_000 || !strings.Contains(shown.Text, "stage = 2") {
		t.Errorf("%+v", shown)
	}
	for _, p := range shown.Memory.Processes {
		var sum int64
		for _, part := range p.Parts {
			sum += part.Bytes
		}
		if !p.Known || sum < 3e6 {
			t.Errorf("%+v", p)
		}
	}
}

// A run that no machine holds ends before its weights are loaded. `recipes check` says so, too.
func TestTooLittleMemoryIsSaidFirst(t *testing.T) {
	t.Chdir(t.TempDir())
	huge := []string{"--set", "qformer.hidden_size=10000000"}
	for _, args := range [][]string{{"recipes", "check", "tiny-stage1"}, {"train", "tiny-stage1", "--out", "runs/a", "--backend", "go"}} {
		_, stderr := mustExit(t, exitFailed, append(args, huge...)...)
		if !strings.Contains(stderr, "most of it in the process [run]") || !strings.Contains(stderr, "run.ignore_memory = true") || strings.Contains(stderr, "msg=backend") {
			t.Errorf("%q: %s", args, stderr)
		}
	}
	if checkpoints, _ := os.ReadDir("runs/a/checkpoints"); len(checkpoints) > 0 {
		t.Errorf("there are checkpoints: %v", checkpoints)
	}
}
