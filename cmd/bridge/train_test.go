package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// short makes a recipe's run a matter of seconds.
func short(args ...string) []string {
	for _, s := range []string{
		`data.train={id="kit:train",pictures=32}`, `data.eval={id="kit:held-out",pictures=8}`, "vision.isolation=none",
		"optimizer.steps=2", "optimizer.warmup=1", "optimizer.batch=4", "evaluation.examples=4", "run.backend=go",
	} {
		args = append(args, "--set", s)
	}
	return args
}

// The commands of a first day, one after the other, on real files.
func TestTrainRetrainCaptionCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	t.Setenv("BRIDGE_CACHE", t.TempDir())
	dir := t.TempDir()
	stage1, stage2, swapped := filepath.Join(dir, "s1"), filepath.Join(dir, "s2"), filepath.Join(dir, "swap")
	want(t, exitDone, short("train", "tiny-stage1", "--out", stage1)...)
	language := []string{"--set", "language.isolation=none", "--set", "evaluation.captions=2", "--set", "evaluation.final_captions=4"}
	want(t, exitDone, append(short("train", "tiny-stage2-opt", "--out", stage2, "--set", "from="+stage1), language...)...)
	retrain := append(short("retrain", "--llm", "tiny-flan-t5", "--from", stage2, "--out", swapped,
		"--set", "swap.warmup_steps=1", "--set", "swap.warmup_images=8"), language...)
	want(t, exitDone, retrain...)
	for _, file := range []string{recipeFile, "bridge.lock", summaryFile, resultFile, reportFile, logFile, "metrics.jsonl", "bridge/model.safetensors"} {
		if _, err := os.Stat(filepath.Join(swapped, file)); err != nil {
			t.Errorf("the run folder lacks %s", file)
		}
	}
	if _, stderr := want(t, exitFailed, retrain...); !strings.Contains(stderr, "holds a run already") {
		t.Errorf("a run was begun over another: %s", stderr)
	}

	// The way back follows the recipe of the run that it starts from.
	back := filepath.Join(dir, "back")
	want(t, exitDone, "retrain", "--llm", "tiny-opt", "--from", swapped, "--out", back)
	text, err := os.ReadFile(filepath.Join(back, recipeFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"pictures = 32", `id = "tiny-opt"`, `question_prompt = "Question: {} Answer:"`, `backend = "go"`, "warmup_steps = 1", "feature_layer = -1"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the way back has no %s:\n%s", line, text)
		}
	}
	resumed := append(short("train", "tiny-stage1", "--out", stage1, "--resume"), "--set", "optimizer.steps=3")
	if _, stderr := want(t, exitFailed, resumed...); !strings.Contains(stderr, "was started with optimizer.steps = 2, now it has optimizer.steps = 3") {
		t.Errorf("resumed with other settings: %s", stderr)
	}

	stdout, stderr := want(t, exitFailed, "caption", swapped, "kit:held-out/0", filepath.Join(dir, "none.png"), "--isolation", "none", "--backend", "go", "--json")
	if got := objects(t, stdout); len(got) != 1 || got[0]["image"] != "kit:held-out/0" || got[0]["caption"] == "" || !strings.Contains(stderr, "none.png") {
		t.Errorf("captions %v, stderr %s", got, stderr)
	}
	stdout, _ = want(t, exitDone, "ask", "--isolation=none", swapped, "kit:held-out/0", "how many?", "--backend", "go")
	if strings.TrimSpace(stdout) == "" {
		t.Error("no answer")
	}
	stdout, _ = want(t, exitDone, "compare", stage1, stage2, swapped, "--json")
	runs := objects(t, stdout)
	if len(runs) != 3 || runs[2]["llm"] != "tiny-flan-t5" || runs[2]["steps"] != 3.0 || runs[0]["text_r1"] == nil {
		t.Errorf("comparison %v", runs)
	}
	want(t, exitFailed, "caption", stage1, "kit:held-out/0")
	checkDemo(t, dir, stage2, language)
}

func checkDemo(t *testing.T, dir, from string, language []string) {
	t.Helper()
	out := filepath.Join(dir, "demo")
	demo := append(short("demo", "--out", out, "--set", "from="+from, "--set", "swap.warmup_steps=1", "--set", "swap.warmup_images=8"), language...)
	stdout, _ := want(t, exitDone, demo...)
	if !strings.Contains(stdout, "warm") || !strings.Contains(stdout, "What to try next") {
		t.Errorf("the demo said:\n%s", stdout)
	}
	stdout, _ = want(t, exitDone, "compare", filepath.Join(out, "warm"), filepath.Join(out, "cold"), "--json")
	arms := objects(t, stdout)
	if len(arms) != 2 || arms[0]["steps"] != arms[1]["steps"] || arms[0]["exact_match"] == nil || arms[1]["held_out_loss"] == nil {
		t.Errorf("arms %v", arms)
	}
	_, stderr := want(t, exitFailed, "compare", out)
	if !strings.Contains(stderr, filepath.Join(out, "cold")+" "+filepath.Join(out, "warm")) {
		t.Errorf("the demo's arms are not named: %s", stderr)
	}
	want(t, exitDone, demo...) // an earlier demo is replaced
}
