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

// newTrainedProject is a workplace whose project has a run with a plugin and a checkpoint of
// the project's own.
func newTrainedProject(t *testing.T) *testProject {
	t.Helper()
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	encoder := copyModel(t, "tiny-vit")
	w := newTestProject(t)
	must(t, os.CopyFS("encoder", os.DirFS(encoder)))
	w.bridge(exitDone, "plugin add "+w.plugin)
	line := strings.Join(shortRun("train", "tiny-stage2-opt", "--out", "runs/t", "--set", "language.isolation=none", "--set", "evaluation.final_captions=2"), " ")
	w.bridge(exitDone, line+" --set vision={plugin=\"my-vit\",path=\"encoder\"} --set vision.isolation=process")
	return w
}

const captionOne = " kit:held-out/17 --backend go"

// A project that was moved captions, and goes on training, as it did; what lies
// elsewhere can be named.
func TestMovedProjects(t *testing.T) {
	w := newTrainedProject(t)
	was := w.bridge(exitDone, "caption runs/t"+captionOne)
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
	if is := w.bridge(exitDone, "caption runs/t"+captionOne); is != was {
		t.Errorf("moved, it says %q, said %q", is, was)
	}
	w.bridge(exitDone, "train runs/t/recipe.toml --out runs/t --resume")
	w.bridge(exitDone, "recipes check runs/t/recipe.toml", `plugin = "`+moved+`/plugins/my-vit"`, `path = "`+moved+`/encoder"`)

	must(t, os.Rename("encoder", "vit"))
	old := filepath.Join(moved, "encoder") // resumed, the run names it so
	w.bridge(exitFailed, "caption runs/t"+captionOne, "the folder of the bridge's vision-encoder encoder was not found at "+old, "--moved "+old+"=DIR")
	if is := w.bridge(exitDone, "caption runs/t"+captionOne+" --moved "+old+"=vit"); is != was {
		t.Errorf("with --moved it says %q, said %q", is, was)
	}
	must(t, os.Rename("plugins/my-vit", "plugins/other"))
	gone := filepath.Join(moved, "plugins", "my-vit")
	w.bridge(exitFailed, "caption runs/t"+captionOne+" --moved "+old+"=vit", "the plugin of the bridge's vision-encoder encoder was not found at "+gone, "--moved "+gone+"=PATH, or =NAME")
	w.bridge(exitDone, "caption runs/t"+captionOne+" --moved "+old+"=vit --moved "+gone+"=other")
	w.bridge(exitFailed, "train runs/t/recipe.toml --out runs/t --resume", "vision.plugin: no plugin: stat "+moved+"/plugins/my-vit", "vision.path")
	w.bridge(exitUsage, "caption runs/t"+captionOne+" --moved vit", "want OLD=NEW")
	w.bridge(exitUsage, "caption runs/t"+captionOne+" --moved =vit", "want OLD=NEW")
	w.bridge(exitDone, "caption runs/t"+captionOne+" --moved ./encoder=vit --moved plugins/my-vit=other", was[strings.LastIndex(was, "kit:"):])
}

// A plugin that is another than the run was made with is said to be, and not used
// where only locked plugins are.
func TestPluginsThatChangedSinceTraining(t *testing.T) {
	w := newTrainedProject(t)
	w.bridge(exitDone, "plugin lock")
	for _, line := range []string{"caption runs/t" + captionOne, "caption runs/t" + captionOne + " --locked"} {
		if out := w.bridge(exitDone, line); strings.Contains(out, "another than the bridge was trained with") {
			t.Errorf("nothing changed, and bridge %s says\n%s", line, out)
		}
	}
	info, _, err := bridge.ReadInfo(train.BridgeDir("runs/t"))
	must(t, err)
	must(t, os.CopyFS("runs/old", os.DirFS("runs/t")))
	forgetPlugin(t, filepath.Join("runs", "old", "bridge", "bridge.json"))
	w.bridge(exitDone, "plugin keygen my.key --no-password")
	w.bridge(exitDone, "plugin sign ./plugins/my-vit --key my.key")
	w.bridge(exitFailed, "caption runs/t"+captionOne, "plugin my-vit is not as it was locked", "plugin.release was added") // the project's lock has all
	w.bridge(exitDone, "plugin lock")
	w.bridge(exitDone, "caption runs/t"+captionOne+" --locked")
	w.bridge(exitDone, "train runs/t/recipe.toml --out runs/t --resume")

	manifest := filepath.Join("plugins", "my-vit", "plugin.toml")
	text, err := os.ReadFile(manifest)
	must(t, err)
	must(t, os.WriteFile(manifest, []byte(strings.Replace(string(text), "1.0.0", "1.1.0", 1)), 0o644))
	w.bridge(exitFailed, "caption runs/t"+captionOne, "plugin my-vit is not as it was locked")
	w.bridge(exitDone, "plugin lock")
	says := "plugin my-vit is another than the bridge was trained with: the version was 1.0.0, is 1.1.0; the digest was " + info.Vision.PluginDigest
	swap := " --out runs/swap --set swap.warmup_steps=0 --set optimizer.steps=1 --set optimizer.warmup=0 --set language.isolation=none"
	for _, run := range []string{"runs/t", "runs/old"} { // old: of a version that wrote the run's lock alone
		w.bridge(exitDone, "caption "+run+captionOne, says, "; plugin.toml changed", "/plugins/my-vit back as it was")
		w.bridge(exitFailed, "caption "+run+captionOne+" --locked", says, "without --locked it is used as it is")
		w.bridge(exitFailed, "ask "+run+" kit:held-out/17 what? --backend go --locked", says)
		w.bridge(exitFailed, "retrain --from "+run+" --llm tiny-flan-t5 --locked"+swap, says)
		must(t, os.RemoveAll("runs/swap"))
	}
	w.bridge(exitFailed, "train runs/t/recipe.toml --out runs/t --resume", "the run was made with something else: vision encoder: the plugin is another: the version was 1.0.0, is 1.1.0, ", ", plugin.toml changed", "/plugins/my-vit, back as it was, or start a new run")
	w.bridge(exitDone, "retrain --from runs/t --llm tiny-flan-t5"+swap, says)
	if l, err := lockfile.Read("runs/swap/bridge.lock"); err != nil || l.Vision.PluginVersion != "1.1.0" || l.Vision.Plugin != "plugins/my-vit" {
		t.Errorf("the new run's lock has %+v, %v", l.Vision, err)
	}
}

// What the recipe of a run asks of its plugins holds for who uses the run, and a run
// does not bring its plugin along.
func TestRunsEnforceTheirRecipesConstraints(t *testing.T) {
	w := newTrainedProject(t)
	t.Setenv("MY_TOKEN", "secret")
	recipe := filepath.Join("runs", "t", recipes.RunFile)
	was, err := os.ReadFile(recipe)
	must(t, err)
	asks := func(lines string) {
		t.Helper()
		must(t, os.WriteFile(recipe, []byte(strings.Replace(string(was), "[vision]\n", "[vision]\n"+lines+"\n", 1)), 0o644))
	}
	ran := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(w.ranFile); err != nil || string(text) != want {
			t.Errorf("the plugin has run with %q, %v; want %q", text, err, want)
		}
		must(t, os.RemoveAll(w.ranFile))
	}
	w.bridge(exitDone, "caption runs/t"+captionOne)
	ran("token \n")
	asks("environment = ['MY_TOKEN']")
	w.bridge(exitDone, "caption runs/t"+captionOne)
	ran("token secret\n")
	asks("locked = true")
	w.bridge(exitFailed, "caption runs/t"+captionOne, "plugin my-vit is not in bridge.lock, and only locked plugins may start")
	w.bridge(exitFailed, "train runs/t/recipe.toml --out runs/t --resume", "only locked plugins may start")
	asks("sandbox = 'on'")
	w.bridge(exitFailed, "caption runs/t"+captionOne) // what the plugin runs lies elsewhere
	asks("")

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
	w.bridge(exitFailed, "caption runs/t"+captionOne, "brings the plugin of", "a model's folder has no programs to run", "bridge plugin add")
	w.bridge(exitFailed, "retrain --from runs/t --llm tiny-flan-t5 --out runs/swap", "a model's folder has no programs to run")
	if _, err := os.Stat(w.ranFile); err == nil {
		t.Error("what a run brought along was run")
	}
}

// forgetPlugin makes a bridge one of a version that did not write what its plugin was.
func forgetPlugin(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	var info map[string]any
	must(t, json.Unmarshal(text, &info))
	vision, ok := info["vision"].(map[string]any)
	if !ok || vision["plugin_digest"] == nil {
		t.Fatalf("%s does not say what the plugin is:\n%s", file, text)
	}
	for _, key := range []string{"plugin_version", "plugin_digest", "plugin_parts", "path_from_here", "plugin_from_here"} {
		delete(vision, key)
	}
	text, err = json.Marshal(info)
	must(t, err)
	must(t, os.WriteFile(file, text, 0o644))
}
