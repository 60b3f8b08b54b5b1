package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/workspace"
)

// The features of a plugin whose code has changed are computed again, although it reports the
// same weights. The commands that use the old run name the file that changed.
func TestChangedPluginCodeIsNoticed(t *testing.T) {
	encoder := copyModel(t, "tiny-vit")
	w := newTestProject(t)
	train := "train tiny-stage2-opt --backend go --set vision={path=\"" + encoder + "\",plugin=\"" + w.plugin + "\"}" +
		" --set language.isolation=none --set data.train={id=\"kit:train\",pictures=4} --set data.eval={id=\"kit:held-out\",pictures=4}" +
		" --set optimizer.batch=4 --set optimizer.steps=1 --set optimizer.warmup=0 --set evaluation.captions=0" +
		" --set evaluation.examples=4 --set evaluation.final_captions=0 --out "
	caches := func() int {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(workspace.CacheDir(), "features", "*.features"))
		must(t, err)
		return len(files)
	}
	w.bridge(exitDone, train+"first")
	w.bridge(exitDone, train+"again")
	if n := caches(); n != 2 { // of the training set and of the evaluation set
		t.Fatalf("%d files of features, want 2", n)
	}
	program := filepath.Join(w.plugin, "bridge-adapter-my-vit")
	info, err := os.Stat(program)
	must(t, err)
	text, err := os.ReadFile(program)
	must(t, err)
	w.write("bridge-adapter-my-vit", strings.Replace(string(text), "token ", "Token ", 1)) // of the same size
	must(t, os.Chtimes(program, info.ModTime(), info.ModTime()))
	w.bridge(exitDone, train+"changed")
	if n := caches(); n != 4 {
		t.Errorf("%d files of features after a change of the code, want 4", n)
	}
	const changed = "bridge-adapter-my-vit changed"
	w.bridge(exitDone, "caption first kit:held-out/0 --backend go", changed)
	w.bridge(exitFailed, "train first/recipe.toml --out first --resume", changed)
}
