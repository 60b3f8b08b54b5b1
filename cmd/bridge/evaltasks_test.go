//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// toyTask is a task of the user's own.
const toyTask = `name = "toy"
title = "toy captions"
version = 1
[data]
format = "coco"
pictures = ["."]
[data.files]
captions = ["captions.json"]
[prompt]
default = "a photo of"
[generate]
beams = 2
max_new_tokens = 4
[metric]
name = "captions"
`

// toyData writes the task, its captions and n pictures, and returns their folder.
func toyData(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	var images, captions []string
	for i := range n {
		img := image.NewRGBA(image.Rect(0, 0, 16, 16))
		for p := range 256 {
			img.Set(p%16, p/16, color.RGBA{uint8(p * i), uint8(40 * i), uint8(p), 255})
		}
		var encoded bytes.Buffer
		if err := png.Encode(&encoded, img); err != nil {
			t.Fatal(err)
		}
		writeTestFile(t, filepath.Join(dir, fmt.Sprintf("%d.png", i)), encoded.Bytes())
		images = append(images, fmt.Sprintf(`{"id":%d,"file_name":"%d.png"}`, i, i))
		captions = append(captions, fmt.Sprintf(`{"id":%d,"image_id":%d,"caption":"picture number %d"}`, i, i, i))
	}
	writeTestFile(t, filepath.Join(dir, "captions.json"), fmt.Appendf(nil, `{"images":[%s],"annotations":[%s]}`, strings.Join(images, ","), strings.Join(captions, ",")))
	writeTestFile(t, filepath.Join(dir, "toy.toml"), []byte(toyTask))
	return dir
}

func writeTestFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// toyEval returns the command line of an evaluation of a BLIP-2 folder of transformers.
func toyEval(data, out string, more ...string) []string {
	return append([]string{"eval", filepath.Join("..", "..", "eval", "testdata", "blip2-opt"), filepath.Join(data, "toy.toml"), "--data", data, "--out", out,
		"--batch", "2", "--backend", "go", "--isolation", "none"}, more...)
}

// evalTimes are the values in an evaluation's files that differ from run to run.
var evalTimes = regexp.MustCompile(`"(seconds|samples_per_second)": ?[0-9.e+-]+`)

func evalFile(t *testing.T, out, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(out, "toy", name))
	if err != nil {
		t.Fatal(err)
	}
	return evalTimes.ReplaceAllString(string(data), "")
}

// An evaluation that is killed at any moment continues, and ends as an undisturbed one.
func TestKilledEvaluationContinues(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts eleven processes")
	}
	testenv.Cache(t)
	data, whole, out := toyData(t, 40), t.TempDir(), t.TempDir()
	mustExit(t, exitDone, toyEval(data, whole)...)
	want := evalFile(t, whole, "samples.jsonl")
	info, err := os.Stat(filepath.Join(whole, "toy", "samples.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	rng, moments := rand.New(rand.NewPCG(5, 6)), make([]int64, 10) // the sizes of the file at which it is killed
	for i := range moments {
		moments[i] = rng.Int64N(info.Size())
	}
	slices.Sort(moments)
	for _, size := range moments {
		killEvaluation(t, toyEval(data, out), filepath.Join(out, "toy", "samples.jsonl"), size)
	}
	mustExit(t, exitDone, toyEval(data, out)...)
	if got := evalFile(t, out, "samples.jsonl"); got != want {
		t.Errorf("the samples differ from those of an undisturbed run:\n%s\nwant\n%s", got, want)
	}
	if got, want := evalFile(t, out, "result.json"), evalFile(t, whole, "result.json"); got != want {
		t.Errorf("the results differ:\n%s\nwant\n%s", got, want)
	}
}

// killEvaluation starts an evaluation and kills it once a file has a size.
func killEvaluation(t *testing.T, args []string, path string, size int64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), commandVariable+"=1")
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		if info, err := os.Stat(path); err == nil && info.Size() >= size {
			break
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("the evaluation failed: %v\n%s", err, &output)
			}
			return // the machine was faster
		case <-time.After(time.Millisecond):
		}
	}
	_ = c.Process.Kill() // it may have ended
	<-ended
}

func TestEvalCommands(t *testing.T) {
	testenv.Cache(t)
	data, out := toyData(t, 6), t.TempDir()
	stdout, _ := mustExit(t, exitDone, toyEval(data, out, "--limit", "4", "--seed", "2")...)
	for _, want := range []string{"toy (toy captions), tokenizer ptb, 4 of 6 samples, seed 2", "CIDEr-D", "95 % interval", "result: " + filepath.Join(out, "toy-4-seed2")} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	stdout, _ = mustExit(t, exitDone, toyEval(data, out, "--json")...)
	var got struct {
		N    int
		Task struct{ Name, Digest string }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.N != 6 || got.Task.Name != "toy" || got.Task.Digest == "" {
		t.Errorf("%v: %s", err, stdout)
	}
	if status, _, stderr := runCommand(t, toyEval(data, out, "--batch", "3")...); status != exitFailed || !strings.Contains(stderr, "holds answers of another run") || !strings.Contains(stderr, "--fresh") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if err := os.Remove(filepath.Join(out, "toy-4-seed2", "plan.json")); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := runCommand(t, toyEval(data, out, "--limit", "4", "--seed", "2")...); status != exitFailed || !strings.Contains(stderr, "samples.jsonl but not plan.json") {
		t.Errorf("answers without a plan: status %d, %s", status, stderr)
	}
	stdout, _ = mustExit(t, exitDone, "eval", "list")
	for _, want := range []string{"vqav2-val", "214354", "missing: questions, annotations, pictures", "group: pope-random"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	stdout, _ = mustExit(t, exitDone, "eval", "show", "vqav2_val", "--data", data)
	for _, want := range []string{"vqav2-val: VQAv2, validation", "214354 samples", "looked for in " + data, "questions: missing, want vqav2/v2_OpenEnded", `decoder-only: prompt "Question: {question} Answer:"`,
		"length_penalty -1", "metric: vqa, variant lavis", "BLIP-2 ViT-g FlanT5-XL: value 63.1 (BLIP-2 (arXiv 2301.12597), table 2)"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	for _, c := range []struct {
		status int
		args   []string
		want   string
	}{
		{exitFailed, []string{"eval", "kit:stage1", "okvqa", "--data", data}, "okvqa: 3 of 3 files are not in " + data},
		{exitFailed, []string{"eval", "kit:stage1", "okvqq"}, `there is no task "okvqq"; did you mean okvqa?`},
		{exitUsage, []string{"eval", "kit:stage1"}, "eval got 1 arguments"},
		{exitUsage, []string{"eval", "lst"}, `no command "eval lst"`},
		{exitUsage, toyEval(data, out, "--limit", "-1"), "--limit is -1"},
		{exitFailed, []string{"eval", "show", "nothing-like-this"}, "bridge eval list"},
	} {
		if status, _, stderr := runCommand(t, c.args...); status != c.status || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: status %d, want %d with %q:\n%s", c.args, status, c.status, c.want, stderr)
		}
	}
	other := filepath.Join(t.TempDir(), "out")
	task := filepath.Join(data, "toy.toml")
	status, _, stderr := runCommand(t, "eval", "no-such-model", task, "kit-vqa", "--data", data, "--out", other)
	if status != exitFailed || strings.Count(stderr, "no model") != 1 {
		t.Errorf("status %d, want one error:\n%s", status, stderr)
	}
	if _, err := os.Stat(other); err == nil {
		t.Errorf("%s is there though no model was opened", other)
	}
}
