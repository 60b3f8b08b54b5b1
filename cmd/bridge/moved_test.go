package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
)

// newTrainedProject returns a project with a run, which uses a plugin and a checkpoint inside
// the project.
func newTrainedProject(t *testing.T) *testProject {
	t.Helper()
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	encoder := copyModel(t, "tiny-vit")
	w := newTestProject(t)
	must(t, os.CopyFS("encoder", os.DirFS(encoder)))
	w.bridge(exitDone, "plugin add "+w.plugin)
	args := shortRun("train", "tiny-stage2-opt", "--out", "runs/t",
		"--set", "language.isolation=none", "--set", "evaluation.final_captions=2")
	w.bridge(exitDone, strings.Join(args, " ")+" --set vision={plugin=\"my-vit\",path=\"encoder\"} --set vision.isolation=process")
	return w
}

const captionOne = " kit:held-out/17 --backend go"

// A moved project gives the same captions and continues its training. --moved names files that
// are elsewhere now.
func TestMovedProjects(t *testing.T) {
	w := newTrainedProject(t)
	const caption = "caption runs/t" + captionOne
	before := w.bridge(exitDone, caption)
	here, err := os.Getwd()
	must(t, err)
	for _, file := range []string{recipes.RunFile, "result.json", "summary.json"} {
		if text, err := os.ReadFile(filepath.Join("runs", "t", file)); err != nil || strings.Contains(string(text), here) {
			t.Errorf("%s names the project's folder, %v:\n%s", file, err, text)
		}
	}
	moved := filepath.Join(t.TempDir(), "deep", "er")
	must(t, os.MkdirAll(filepath.Dir(moved), 0o755))
	must(t, os.Rename(here, moved))
	t.Chdir(moved)
	if after := w.bridge(exitDone, caption); after != before {
		t.Errorf("after the move it prints %q, want %q", after, before)
	}
	w.bridge(exitDone, "train runs/t/recipe.toml --out runs/t --resume")
	w.bridge(exitDone, "recipes check runs/t/recipe.toml", `plugin = "`+moved+`/plugins/my-vit"`, `path = "`+moved+`/encoder"`)

	must(t, os.Rename("encoder", "vit"))
	old := filepath.Join(moved, "encoder") // the path that the resumed run recorded
	w.bridge(exitFailed, caption, "folder for vision encoder encoder not found at "+old, "--moved "+old+"=DIR")
	if after := w.bridge(exitDone, caption+" --moved "+old+"=vit"); after != before {
		t.Errorf("with --moved it prints %q, want %q", after, before)
	}
	must(t, os.Rename("plugins/my-vit", "plugins/other"))
	gone := filepath.Join(moved, "plugins", "my-vit")
	w.bridge(exitFailed, caption+" --moved "+old+"=vit",
		"plugin for vision encoder encoder not found at "+gone, "--moved "+gone+"=PATH, or =NAME")
	w.bridge(exitDone, caption+" --moved "+old+"=vit --moved "+gone+"=other")
	w.bridge(exitFailed, "train runs/t/recipe.toml --out runs/t --resume",
		"vision.plugin: no plugin: stat "+moved+"/plugins/my-vit", "vision.path")
	w.bridge(exitUsage, caption+" --moved vit", "want OLD=NEW")
	w.bridge(exitUsage, caption+" --moved =vit", "want OLD=NEW")
	w.bridge(exitDone, caption+" --moved ./encoder=vit --moved plugins/my-vit=other", before[strings.LastIndex(before, "kit:"):])
}

// bridge names each --moved that changed no path.
func TestUnusedMovesAreNamed(t *testing.T) {
	w := newTestProject(t)
	w.bridge(exitDone, "version --moved runs/a=runs/b", "--moved changed no path", `moved="runs/a=runs/b"`)
}

// bridge warns if a plugin differs from the one in training, and with --locked it refuses the
// plugin.
func TestPluginsThatChangedSinceTraining(t *testing.T) {
	w := newTrainedProject(t)
	w.bridge(exitDone, "plugin lock")
	for _, line := range []string{"caption runs/t" + captionOne, "caption runs/t" + captionOne + " --locked"} {
		if out := w.bridge(exitDone, line); strings.Contains(out, "differs from the one that the bridge was trained with") {
			t.Errorf("bridge %s warns of a plugin that did not change:\n%s", line, out)
		}
	}
	info, _, err := bridge.ReadInfo(train.BridgeDir("runs/t"))
	must(t, err)
	must(t, os.CopyFS("runs/old", os.DirFS("runs/t")))
	forgetPlugin(t, filepath.Join("runs", "old", "bridge", "bridge.json"))
	w.bridge(exitDone, "plugin keygen my.key --no-password")
	w.bridge(exitDone, "plugin sign ./plugins/my-vit --key my.key")
	// The project's lock covers all files.
	w.bridge(exitFailed, "caption runs/t"+captionOne, "plugin my-vit differs from its lock", "plugin.release was added")
	w.bridge(exitDone, "plugin lock")
	w.bridge(exitDone, "caption runs/t"+captionOne+" --locked")
	w.bridge(exitDone, "train runs/t/recipe.toml --out runs/t --resume")

	manifest := filepath.Join("plugins", "my-vit", "plugin.toml")
	text, err := os.ReadFile(manifest)
	must(t, err)
	must(t, os.WriteFile(manifest, []byte(strings.Replace(string(text), "1.0.0", "1.1.0", 1)), 0o644))
	w.bridge(exitFailed, "caption runs/t"+captionOne, "plugin my-vit differs from its lock")
	w.bridge(exitDone, "plugin lock")
	warning := "plugin my-vit differs from the one that the bridge was trained with: the version was 1.0.0, is 1.1.0; the digest was " +
		info.Vision.PluginDigest
	// A fit of words takes seconds, and plays no part here.
	swap := " --out runs/swap --set swap.warmup_steps=0 --set optimizer.steps=1 --set optimizer.warmup=0 --set language.isolation=none --set swap.projection=shared-tokens"
	for _, run := range []string{"runs/t", "runs/old"} { // old: only the run's lock records the plugin
		w.bridge(exitDone, "caption "+run+captionOne, warning, "; plugin.toml changed", "/plugins/my-vit if the results have changed")
		w.bridge(exitFailed, "caption "+run+captionOne+" --locked", warning, "without --locked the present version is used")
		w.bridge(exitFailed, "ask "+run+" kit:held-out/17 what? --backend go --locked", warning)
		w.bridge(exitFailed, "retrain --from "+run+" --llm tiny-flan-t5 --locked"+swap, warning)
		must(t, os.RemoveAll("runs/swap"))
	}
	w.bridge(exitFailed, "train runs/t/recipe.toml --out runs/t --resume",
		"the run was made with other models or plugins: vision encoder: the plugin has changed: the version was 1.0.0, is 1.1.0, ",
		", plugin.toml changed", "/plugins/my-vit, or start a new run")
	w.bridge(exitDone, "retrain --from runs/t --llm tiny-flan-t5"+swap, warning)
	if l, err := lockfile.Read("runs/swap/bridge.lock"); err != nil || l.Vision.PluginVersion != "1.1.0" ||
		l.Vision.Plugin != "plugins/my-vit" {
		t.Errorf("the new run's lock has %+v, %v", l.Vision, err)
	}
}

// The plugin constraints in the recipe of a run apply to everyone who uses the run. bridge does
// not start a plugin in the folder of a run.
func TestRunsEnforceTheirRecipesConstraints(t *testing.T) {
	w := newTrainedProject(t)
	t.Setenv("MY_TOKEN", "secret")
	recipe := filepath.Join("runs", "t", recipes.RunFile)
	original, err := os.ReadFile(recipe)
	must(t, err)
	setVision := func(lines string) {
		t.Helper()
		must(t, os.WriteFile(recipe, []byte(strings.Replace(string(original), "[vision]\n", "[vision]\n"+lines+"\n", 1)), 0o644))
	}
	checkRan := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(w.ranFile); err != nil || string(text) != want {
			t.Errorf("the plugin ran with %q, %v; want %q", text, err, want)
		}
		must(t, os.RemoveAll(w.ranFile))
	}
	w.bridge(exitDone, "caption runs/t"+captionOne)
	checkRan("token \n")
	setVision("environment = ['MY_TOKEN']")
	w.bridge(exitDone, "caption runs/t"+captionOne)
	checkRan("token secret\n")
	setVision("locked = true")
	w.bridge(exitFailed, "caption runs/t"+captionOne, "plugin my-vit is not in bridge.lock, and only locked plugins may start")
	w.bridge(exitFailed, "train runs/t/recipe.toml --out runs/t --resume", "only locked plugins may start")
	setVision("sandbox = 'on'")
	w.bridge(exitFailed, "caption runs/t"+captionOne) // the plugin's program is outside its folder
	setVision("")

	must(t, os.Rename(filepath.Join("plugins", "my-vit"), filepath.Join("runs", "t", "own")))
	file := filepath.Join("runs", "t", "bridge", "bridge.json")
	text, err := os.ReadFile(file)
	must(t, err)
	changed := strings.Replace(string(text), `"../../../plugins/my-vit"`, `"../own"`, 1)
	if changed == string(text) {
		t.Fatalf("the bridge does not name its plugin:\n%s", text)
	}
	must(t, os.WriteFile(file, []byte(changed), 0o644))
	must(t, os.RemoveAll(w.ranFile))
	w.bridge(exitFailed, "caption runs/t"+captionOne, "contains the plugin of", "bridge runs no program from a model's folder",
		"bridge plugin add")
	w.bridge(exitFailed, "retrain --from runs/t --llm tiny-flan-t5 --out runs/swap", "bridge runs no program from a model's folder")
	if _, err := os.Stat(w.ranFile); err == nil {
		t.Error("a plugin in a run's folder was started")
	}
}

// forgetPlugin removes the record of the plugin from a bridge, like an older version that did
// not write it.
func forgetPlugin(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	var info map[string]any
	must(t, json.Unmarshal(text, &info))
	vision, ok := info["vision"].(map[string]any)
	if !ok || vision["plugin_digest"] == nil {
		t.Fatalf("%s does not record the plugin:\n%s", file, text)
	}
	for _, key := range []string{"plugin_version", "plugin_digest", "plugin_parts", "path_from_here", "plugin_from_here"} {
		delete(vision, key)
	}
	text, err = json.Marshal(info)
	must(t, err)
	must(t, os.WriteFile(file, text, 0o644))
}
