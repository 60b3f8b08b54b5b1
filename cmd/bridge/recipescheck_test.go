package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// `recipes check` finds what is wrong with the data before anything is loaded, and says all of it.
func TestRecipesCheckReadsTheAnnotations(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, os.Mkdir("pictures", 0o755))
	must(t, os.WriteFile("bad.json", []byte(`[{"image": "1.png", "caption": NaN}, {"image": "2.png"}]`), 0o644))
	_, errors := mustExit(t, exitFailed, "recipes", "check", "tiny-stage2-opt", "--set", "from=kit:stage1", "--set", "data.questions=0",
		"--set", "data.train={annotations='bad.json', images='pictures'}", "--set", "data.eval={annotations='nothere.json', images='nowhere'}")
	lines := strings.Split(strings.TrimSpace(errors), "\n")
	for i, want := range []string{`/bad.json: entry 0 (line 1): "caption" is NaN`, `/bad.json: entry 1 (line 1): "caption" is missing`, "/nothere.json", "/nowhere is not a folder"} {
		key := []string{"data.train: ", "data.train: ", "data.eval: ", "data.eval: "}[i]
		if len(lines) != 4 || !strings.HasPrefix(lines[i], "bridge: "+key) || !strings.Contains(lines[i], want) {
			t.Fatalf("line %d lacks %q:\n%s", i, want, errors)
		}
	}
	_, errors = mustExit(t, exitFailed, "train", "tiny-stage1", "--out=~/runs/a")
	if !strings.Contains(errors, "a shell does not expand ~ behind =") {
		t.Error(errors)
	}
}

// `recipes check` finds data that was moved, as training does, and prints where it is now.
func TestRecipesCheckFollowsMovedData(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, os.Mkdir("now", 0o755))
	var entries []string
	for i := range 4 {
		must(t, writePNG(fmt.Sprintf("now/%d.png", i)))
		entries = append(entries, fmt.Sprintf(`{"image": "%d.png", "caption": "picture %d"}`, i, i))
	}
	for _, split := range []string{"train", "eval"} {
		must(t, os.WriteFile("now/"+split+".json", []byte("["+strings.Join(entries, ",")+"]"), 0o644))
	}
	dir, err := os.Getwd()
	must(t, err)
	set := func(split string) string {
		return fmt.Sprintf("data.%s={annotations='%s/was/%s.json', images='%s/was'}", split, dir, split, dir)
	}
	args := []string{"recipes", "check", "tiny-stage2-opt", "--set", "from=kit:stage1", "--set", "data.questions=0", "--set", "optimizer.batch=2",
		"--set", set("train"), "--set", set("eval")}
	if _, errors := mustExit(t, exitFailed, args...); !strings.Contains(errors, "was/train.json") {
		t.Error(errors)
	}
	out, _ := mustExit(t, exitDone, append([]string{"--moved", "was=now"}, args...)...)
	if !strings.Contains(out, dir+"/now/train.json") || strings.Contains(out, dir+"/was") {
		t.Errorf("got\n%s\nwant the paths of now", out)
	}
}
