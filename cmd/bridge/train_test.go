package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/train"
)

// shortRun appends settings with which a recipe's run takes seconds.
func shortRun(args ...string) []string {
	for _, s := range []string{
		`data.train={id="kit:train",pictures=32}`, `data.eval={id="kit:held-out",pictures=8}`, "vision.isolation=none",
		"optimizer.steps=2", "optimizer.warmup=1", "optimizer.batch=4", "evaluation.examples=4", "run.backend=go",
	} {
		args = append(args, "--set", s)
	}
	return args
}

// TestTrainRetrainCaptionCompare runs the commands of a newcomer's first day, one after the
// other, on real files.
func TestTrainRetrainCaptionCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	testenv.Cache(t)
	dir := t.TempDir()
	stage1, stage2, swapped := filepath.Join(dir, "s1"), filepath.Join(dir, "s2"), filepath.Join(dir, "swap")
	mustExit(t, exitDone, shortRun("train", "tiny-stage1", "--out", stage1)...)
	language := []string{"--set", "language.isolation=none", "--set", "evaluation.captions=2", "--set", "evaluation.final_captions=4"}
	mustExit(t, exitDone, append(shortRun("train", "tiny-stage2-opt", "--out", stage2, "--set", "from="+stage1), language...)...)
	retrain := append(shortRun("retrain", "--llm", "tiny-flan-t5", "--from", stage2, "--out", swapped,
		"--set", "swap.warmup_steps=1", "--set", "swap.warmup_images=8"), language...)
	mustExit(t, exitDone, retrain...)
	for _, file := range []string{recipes.RunFile, "bridge.lock", "summary.json", "result.json", runs.ReportFile, "log.txt",
		"metrics.jsonl", "bridge/model.safetensors"} {
		if _, err := os.Stat(filepath.Join(swapped, file)); err != nil {
			t.Errorf("the run folder has no %s", file)
		}
	}
	if _, stderr := mustExit(t, exitFailed, retrain...); !strings.Contains(stderr, "already contains a run") {
		t.Errorf("a run replaced another: %s", stderr)
	}

	// The swap back uses the recipe of the run that it starts from.
	back := filepath.Join(dir, "back")
	mustExit(t, exitDone, "retrain", "--llm", "tiny-opt", "--from", swapped, "--out", back)
	text, err := os.ReadFile(filepath.Join(back, recipes.RunFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"pictures = 32", `id = "tiny-opt"`, `question_prompt = "Question: {} Answer:"`, `backend = "go"`,
		"warmup_steps = 1", "feature_layer = -1"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the recipe of the swap back has no %s:\n%s", line, text)
		}
	}
	resumed := append(shortRun("train", "tiny-stage1", "--out", stage1, "--resume"), "--set", "optimizer.steps=3")
	_, stderr := mustExit(t, exitFailed, resumed...)
	if !strings.Contains(stderr, "was started with optimizer.steps = 2, now it has optimizer.steps = 3") {
		t.Errorf("resumed with other settings: %s", stderr)
	}

	stdout, stderr := mustExit(t, exitFailed, "caption", swapped, "kit:held-out/0", filepath.Join(dir, "none.png"),
		"--isolation", "none", "--backend", "go", "--json")
	got := decodeLines(t, stdout)
	if len(got) != 1 || got[0]["image"] != "kit:held-out/0" || got[0]["caption"] == "" || !strings.Contains(stderr, "none.png") {
		t.Errorf("captions %v, stderr %s", got, stderr)
	}
	stdout, stderr = mustExit(t, exitDone, "ask", "--isolation=none", swapped, "kit:held-out/0", "how many?", "--backend", "go")
	if strings.TrimSpace(stdout) == "" || strings.Contains(stderr, "another tokenizer") {
		t.Errorf("the answer %q, stderr %s", stdout, stderr)
	}
	info, _, err := bridge.ReadInfo(train.BridgeDir(swapped))
	if err != nil || !strings.HasPrefix(info.Language.TokenizerDigest, "sha256:") {
		t.Errorf("the bridge does not record its tokenizer: %+v, %v", info.Language, err)
	}
	stdout, _ = mustExit(t, exitDone, "compare", stage1, stage2, swapped, "--json")
	runs := decodeLines(t, stdout)
	if len(runs) != 3 || runs[2]["llm"] != "tiny-flan-t5" || runs[2]["steps"] != 3.0 || runs[0]["text_r1"] == nil {
		t.Errorf("comparison %v", runs)
	}
	mustExit(t, exitFailed, "caption", stage1, "kit:held-out/0")
	checkTasks(t, dir, stage1, stage2, swapped)
	checkDemo(t, dir, stage2, language)
	checkMatrix(t, dir, stage2, append(shortRun(), language...))
}

// checkTasks checks that compare evaluates runs on a benchmark once, shows its figure beside the others,
// and shows the rest if a run cannot be evaluated.
func checkTasks(t *testing.T, dir, stage1, stage2, swapped string) {
	t.Helper()
	data := filepath.Join(dir, "benchmark")
	if err := kit.Export(data, kit.HeldOut, 3); err != nil {
		t.Fatal(err)
	}
	captions := `{"images": [{"id": 0, "file_name": "held-out-000000.png"}, {"id": 1, "file_name": "held-out-000001.png"}, {"id": 2, "file_name": "held-out-000002.png"}],
 "annotations": [{"id": 0, "image_id": 0, "caption": "a dog"}, {"id": 1, "image_id": 1, "caption": "a cat"}, {"id": 2, "image_id": 2, "caption": "a bus"}]}`
	task := `name = "three"
title = "three pictures"
version = 1
[data]
format = "coco"
pictures = ["images"]
files = { captions = ["coco.json"] }
[prompt]
default = "a photo of"
[generate]
max_new_tokens = 4
[metric]
name = "captions"
`
	file := filepath.Join(data, "three.toml")
	for path, text := range map[string]string{filepath.Join(data, "coco.json"): captions, file: task} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--tasks", file, "--data", data, "--backend", "go"}
	stdout, stderr := mustExit(t, exitFailed, append([]string{"compare", stage1, stage2, swapped, "--json"}, args...)...)
	lines := decodeLines(t, stdout)
	if len(lines) != 3 || lines[0]["tasks"] != nil || !strings.Contains(stderr, stage1+": three: the model is a bridge of stage 1") {
		t.Errorf("%v\n%s", lines, stderr)
	}
	for _, line := range lines[1:] {
		tasks, _ := line["tasks"].(map[string]any)
		three, _ := tasks["three"].(map[string]any)
		figures, _ := three["figures"].(map[string]any)
		if figures["cider_d"] == nil || three["n"] != 3.0 {
			t.Errorf("no result of the task in %v", line)
		}
	}
	samples := filepath.Join(swapped, "eval", "three", "samples.jsonl")
	before, err := os.ReadFile(samples)
	if err != nil {
		t.Fatal(err)
	}
	stdout, _ = mustExit(t, exitDone, append([]string{"compare", stage2, swapped, "--out", filepath.Join(dir, "compared")}, args...)...)
	page, err := os.ReadFile(filepath.Join(dir, "compared", runs.ReportFile))
	if err != nil || !strings.Contains(stdout, "three: CIDEr-D") || !strings.Contains(string(page), "three: CIDEr-D") {
		t.Errorf("%v, %s", err, stdout)
	}
	if after, err := os.ReadFile(samples); err != nil || !bytes.Equal(before, after) { // it has the seconds of each answer
		t.Errorf("the model was asked again (%v)", err)
	}
}

// checkMatrix checks that a matrix trains each missing run once, and that a run that fails does
// not stop the others. Its warm starts do not fit words, which takes seconds.
func checkMatrix(t *testing.T, dir, from string, settings []string) {
	t.Helper()
	var set []string
	for i := 1; i < len(settings); i += 2 { // every other word is --set
		set = append(set, strconv.Quote(settings[i]))
	}
	matrix, out := filepath.Join(dir, "matrix.toml"), filepath.Join(dir, "matrix")
	text := `recipe = "tiny-retrain"
from = ` + strconv.Quote(from) + `
encoders = ["tiny-vit-wide"]
llms = ["tiny-flan-t5"]
seeds = [1, 2]
set = [` + strings.Join(set, ", ") + `, "swap.warmup_steps=1", "swap.warmup_images=8"]
[options.warm]
set = ["swap.projection=shared-tokens"]
[options.cold]
cold = true
[options.broken]
set = ["swap.projection=caption-tokens", "optimizer.batch=33"]
`
	if err := os.WriteFile(matrix, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := mustExit(t, exitFailed, "compare", matrix, "--out", out, "--json")
	variants := decodeLines(t, stdout)
	if len(variants) != 2 || variants[0]["runs"] != 2.0 || !strings.Contains(stderr, "2 of 6 runs failed") ||
		!strings.Contains(stderr, "run 6 of 6") {
		t.Errorf("variants %v\n%s", variants, stderr)
	}
	page, err := os.ReadFile(filepath.Join(out, runs.ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"tiny-vit-wide &#43; tiny-flan-t5, warm", "To the cold start", "4 captions are too few for a recommendation",
		"Held-out loss", "Failed: tiny-vit-wide_tiny-flan-t5_broken_seed1",
	} {
		if !strings.Contains(string(page), part) {
			t.Errorf("the report has no %q", part)
		}
	}
	began := time.Now()
	stdout, _ = mustExit(t, exitFailed, "compare", matrix, "--out", out)
	if !strings.Contains(stdout, "tiny-vit-wide + tiny-flan-t5, warm") {
		t.Errorf("the table:\n%s", stdout)
	}
	for _, run := range resultFiles(t, out) {
		if run.ModTime().After(began) {
			t.Errorf("%s was trained again", run.Name())
		}
	}
}

// resultFiles returns the result files of the runs in a folder.
func resultFiles(t *testing.T, dir string) (all []os.FileInfo) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "result.json"))
	if err != nil || len(files) != 4 {
		t.Fatalf("%d finished runs (%v), want 4", len(files), err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info)
	}
	return all
}

// checkDemo checks that the demo trains both runs and can be repeated.
func checkDemo(t *testing.T, dir, from string, language []string) {
	t.Helper()
	out := filepath.Join(dir, "demo")
	demo := append(shortRun("demo", "--out", out, "--set", "from="+from,
		"--set", "swap.warmup_steps=1", "--set", "swap.warmup_images=8"), language...)
	stdout, _ := mustExit(t, exitDone, demo...)
	if !strings.Contains(stdout, "warm") || !strings.Contains(stdout, "Try next") {
		t.Errorf("the demo printed:\n%s", stdout)
	}
	stdout, _ = mustExit(t, exitDone, "compare", filepath.Join(out, "warm"), filepath.Join(out, "cold"), "--json")
	runs := decodeLines(t, stdout)
	if len(runs) != 2 || runs[0]["steps"] != runs[1]["steps"] || runs[0]["exact_match"] == nil || runs[1]["held_out_loss"] == nil {
		t.Errorf("runs %v", runs)
	}
	_, stderr := mustExit(t, exitFailed, "compare", out)
	if !strings.Contains(stderr, filepath.Join(out, "cold")+" "+filepath.Join(out, "warm")) {
		t.Errorf("the error does not name the demo's runs: %s", stderr)
	}
	// Another demo replaces the earlier one. It does not fit words, which takes seconds.
	mustExit(t, exitDone, append(demo, "--set", "swap.projection=shared-tokens")...)
	text, err := os.ReadFile(filepath.Join(out, "warm", recipes.RunFile))
	if err != nil || !strings.Contains(string(text), `projection = "shared-tokens"`) {
		t.Errorf("the recipe of the second demo (%v):\n%s", err, text)
	}
}
