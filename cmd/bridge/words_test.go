package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A bridge that speaks in words captions, answers and prints its words. transformers has no place for
// it; the command that the error names makes a linear bridge of it.
func TestABridgeThatSpeaksInWords(t *testing.T) {
	t.Chdir(t.TempDir())
	args := []string{"retrain", "--cold", "--llm", "small-opt", "--from", "kit:stage2", "--recipe", "tiny-retrain", "--out", "said"}
	for _, set := range []string{"projection.kind=words", "run.backend=go", "run.feature_cache=false", "vision.isolation=none", "language.isolation=none",
		`data.train={id="kit:train", pictures=32}`, `data.eval={id="kit:held-out", pictures=4}`, "optimizer.batch=8", "swap.warmup_steps=0",
		"optimizer.steps=2", "optimizer.warmup=1", "evaluation.every=0", "evaluation.captions=0", "evaluation.final_captions=2", "evaluation.examples=4"} {
		args = append(args, "--set", set)
	}
	mustExit(t, exitDone, args...)

	const picture = "kit:held-out/1"
	out, _ := mustExit(t, exitDone, "caption", "said", picture, "--words", "--json", "--backend", "go", "--isolation", "none")
	var line struct {
		Image, Caption string
		Words          [][]struct {
			Word   string
			Weight float64
		}
	}
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		t.Fatal(err)
	}
	if line.Image != picture || len(line.Words) < 2 || len(line.Words[0]) != wordsOfAQuery || line.Words[0][0].Word == "" ||
		line.Words[0][0].Weight < line.Words[0][1].Weight || line.Words[0][1].Weight <= 0 {
		t.Errorf("got %s", out)
	}
	text, _ := mustExit(t, exitDone, "caption", "said", picture, "--words", "--backend", "go", "--isolation", "none")
	if want := "  query 1\t" + line.Words[0][0].Word + " "; !strings.Contains(text, want) || !strings.HasPrefix(text, picture+"\t") {
		t.Errorf("got %q, want %q", text, want)
	}
	mustExit(t, exitDone, "ask", "said", picture, "what color is the background?", "--backend", "go", "--isolation", "none")
	if _, errs := mustExit(t, exitFailed, "caption", "kit:stage2", picture, "--words", "--backend", "go", "--isolation", "none"); !strings.Contains(errs, "speaks in no words") {
		t.Errorf("a linear bridge: %s", errs)
	}

	_, errs := mustExit(t, exitFailed, "convert", "said", "converted")
	parts := strings.Split(errs, "`")
	if !strings.Contains(errs, "no class of transformers has such a projection") || len(parts) != 3 {
		t.Fatalf("convert: %s", errs)
	}
	command := strings.Fields(strings.ReplaceAll(parts[1], "'", ""))
	mustExit(t, exitDone, append(command[1:], "--out", "linear")...)
	if _, errs := mustExit(t, exitFailed, "convert", "linear", "converted"); strings.Contains(errs, "words") {
		t.Errorf("the linear bridge is refused for its words: %s", errs)
	}
	mustExit(t, exitDone, "convert", "said", "converted", "--to", "bridge")
}
