package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/workspace"
)

// kitModel returns the folder of one of the kit's frozen models.
func kitModel(t *testing.T, id string) string {
	t.Helper()
	dir, err := kit.Extract(t.Context(), workspace.CacheDir())
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, id)
}

// tinyLlama returns the folder of a Llama with random weights.
func tinyLlama() string {
	return filepath.Join(testenv.Root(), "adapters", "llama", "testdata", "golden-llama-3", "checkpoint")
}

// losses reads every loss of a run, in order.
func losses(t *testing.T, dir string) (names []string, values []float64) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"stage-2/loss", "held_out/loss", "held_out/loss_other_picture"} {
			if value, ok := record[name].(float64); ok {
				names, values = append(names, name), append(values, value)
			}
		}
	}
	return names, values
}

// Training through the Python example, with any Hugging Face model, has the same losses as
// training through the built-in adapter. Rounding errors of 1e-7 grow from step to step, by
// half in each step for T5. So any two implementations diverge in the end, even the built-in
// adapter on the Go backend and on XLA.
func TestStage2ThroughPythonHasTheSameLosses(t *testing.T) {
	program := testenv.Program(t, testenv.Torch(t), "examples/adapter-python-hf/adapter.py")
	for _, c := range []struct{ name, recipe, model string }{
		{"tiny-opt", "tiny-stage2-opt", kitModel(t, "tiny-opt")},
		{"tiny-flan-t5", "tiny-stage2-flan-t5", kitModel(t, "tiny-flan-t5")},
		{"tiny-llama", "tiny-stage2-opt", tinyLlama()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var runs [2][]float64
			for i, plugin := range []string{"", fmt.Sprintf(",plugin=%q", program)} {
				out := filepath.Join(t.TempDir(), "run")
				mustExit(t, exitDone, append(shortRun("train", c.recipe, "--out", out),
					"--set", fmt.Sprintf("language={path=%q%s}", c.model, plugin),
					"--set", "optimizer.steps=10", "--set", "optimizer.warmup=10", "--set", "optimizer.lr=1e-3",
					"--set", "optimizer.batch=8", "--set", "evaluation.captions=2")...)
				_, runs[i] = losses(t, out)
			}
			if len(runs[0]) < 12 || len(runs[0]) != len(runs[1]) {
				t.Fatalf("the runs have %d and %d losses", len(runs[0]), len(runs[1]))
			}
			largest := 0.0
			for i, builtIn := range runs[0] {
				largest = max(largest, math.Abs(runs[1][i]-builtIn))
			}
			t.Logf("largest difference of %d losses: %.2g", len(runs[0]), largest)
			if !(largest < 1e-3) {
				t.Errorf("losses through Python are %v, through the built-in adapter %v", runs[1], runs[0])
			}
		})
	}
}

// serveTinyLlama copies the folder of a small Llama and starts a server for it. It returns the
// folder and the example adapter that calls the server.
func serveTinyLlama(t *testing.T) (model, program string) {
	t.Helper()
	python := testenv.PythonWith(t, "tokenizers")
	model = filepath.Join(t.TempDir(), "tiny-llama")
	if err := os.CopyFS(model, os.DirFS(tinyLlama())); err != nil {
		t.Fatal(err)
	}
	url := testenv.Server(t, testenv.Program(t, python, "examples/adapter-python-remote/server.py", model))
	remote := fmt.Sprintf(`{"api": "vllm", "url": "%s/v1", "model": "small"}`, url)
	if err := os.WriteFile(filepath.Join(model, "remote.json"), []byte(remote), 0o644); err != nil {
		t.Fatal(err)
	}
	return model, testenv.Program(t, python, "examples/adapter-python-remote/adapter.py")
}

// A model without gradients is refused before anything is computed.
func TestTrainingThroughARemoteModelIsRefused(t *testing.T) {
	model, program := serveTinyLlama(t)
	out := filepath.Join(t.TempDir(), "run")
	_, stderr := mustExit(t, exitFailed, append(shortRun("train", "tiny-stage2-opt", "--out", out),
		"--set", fmt.Sprintf("language={path=%q,plugin=%q}", model, program))...)
	for _, part := range []string{"tiny-llama gives no gradient by the soft prompts", "captions and scores work with this one"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("no %q in the error: %s", part, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "metrics.jsonl")); err == nil {
		t.Error("the run computed something before it was refused")
	}
}
