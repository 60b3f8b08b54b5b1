package recipes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/store"
)

func TestBackboneProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"wrong kind", "tiny-stage2-opt", []string{"vision.id=tiny-opt", "language.id=tiny-vit"},
			[]string{`vision.id: is "tiny-opt", a language-model, want a vision-encoder`, `language.id: is "tiny-vit", a vision-encoder, want a language-model`, "tiny-vit", "tiny-opt"}},
		{"unknown id", "tiny-stage2-opt", []string{"language.id=tiny-opr"}, []string{"language.id: no model", "did you mean tiny-opt"}},
		{"both names", "tiny-stage1", []string{"vision.path=x"}, []string{"vision.path: is given beside vision.id"}},
		{"plugin in process", "tiny-stage1", []string{"vision.plugin=x", "vision.isolation=none"}, []string{"vision.isolation", "an executable cannot run"}},
		{"transport", "tiny-stage1", []string{"vision.transport=grcp"}, []string{"vision.transport", "want one of auto, shared-memory, grpc", "did you mean grpc?"}},
		{"plugin that is not there", "tiny-stage2-opt", []string{"language.plugin=bin/none"}, []string{"language.plugin: no plugin: ", "no such file", "name a plugin's folder, or its executable"}},
		{"plugin that is no program", "tiny-stage2-opt", []string{"language.plugin=./doc.go"}, []string{"language.plugin: ", "is not executable", "chmod +x"}},
		{"plugin of no such name", "tiny-stage2-opt", []string{"language.plugin=mine"}, []string{`language.plugin: no plugin "mine"`, "bridge plugin list"}},
		{"sandbox", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', sandbox='onn'}"}, []string{`language.sandbox: is "onn", want one of none, on`}},
		{"environment", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', environment=['BRIDGE_X']}"}, []string{`language.environment: holds "BRIDGE_X"`}},
		{"locked without a plugin", "tiny-stage2-opt", []string{"language.locked=true", "vision.sandbox=on"},
			[]string{"language.locked: applies only to plugins, but language.plugin is not set", "vision.sandbox: applies only to plugins"}},
		{"folder of a plugin", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', path='none'}"}, []string{"language.path: is ", "which is not a folder; want the one that the plugin reads"}},
		{"unknown id of a plugin", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', id='tiny-opr'}"}, []string{"language.id: no model", "did you mean tiny-opt"}},
		{"family that is not built in", "tiny-stage1", []string{"vision.id=dinov2-large"}, []string{`vision.id: dinov2-large needs the adapter family "dinov2", this binary has vit, eva, opt, t5`}},
	})
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type": "opt", "hidden_size": 64}`), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := Text("tiny-stage2-opt")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(text), `id = "tiny-opt"`, `path = "`+filepath.ToSlash(dir)+`"`, 1)
	r, err := Parse("own.toml", []byte(own))
	if err != nil {
		t.Fatal(err)
	}
	if got := resolve(t, r); got.LanguageModel.Width != 64 || got.LanguageModel.ID != "mine" || got.Templates().TargetPrefix != " " {
		t.Errorf("folder resolved to %+v", got.LanguageModel)
	}
}

// program is an executable that no test starts.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my-llm")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A model that only a plugin knows gets the prompts of BLIP-2, so that questions
// are not dropped.
func TestModelsOfPlugins(t *testing.T) {
	plugin, dir := program(t), t.TempDir() // without a config.json
	want := bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:", TargetPrefix: " "}
	for name, c := range map[string]struct{ table, id, path string }{
		"its own":         {`plugin = "` + plugin + `"`, "my-llm", ""},
		"path":            {`plugin = "` + plugin + `", path = "` + dir + `"`, filepath.Base(dir), dir},
		"id of a folder":  {`plugin = "` + plugin + `", id = "` + dir + `"`, filepath.Base(dir), dir},
		"id of the kit's": {`plugin = "` + plugin + `", id = "tiny-opt"`, "tiny-opt", ""},
	} {
		got := resolve(t, load(t, "tiny-stage2-opt", "language={"+c.table+"}"))
		if got.LanguageModel.ID != c.id || got.LanguageModel.Path != c.path || got.Language.Path != c.path || got.Language.Plugin != plugin {
			t.Errorf("%s: resolved to %+v, %+v", name, got.LanguageModel, got.Language)
		}
		if got.Templates() != want {
			t.Errorf("%s: prompts %+v, want %+v", name, got.Templates(), want)
		}
	}
	own := resolve(t, load(t, "tiny-stage2-opt", `language={plugin="`+plugin+`", question_prompt="Q: {}"}`))
	if got := own.Templates().Question; got != "Q: {}" {
		t.Errorf("question prompt %q, want the recipe's", got)
	}
}

// A recipe can name an installed plugin. Resolve reads its manifest and does not run it.
func TestInstalledPlugins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins", "mine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"plugin.toml": "name = 'mine'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\n", "bridge-adapter-mine": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	reg, err := registryWith(store.Folders{Project: filepath.Dir(dir)})
	must(t, err)
	got, err := load(t, "tiny-stage2-opt", "language={plugin='mine', locked=true, sandbox='on', environment=['TOKEN']}").Resolve(reg)
	if err != nil || got.Language.Plugin != dir || got.LanguageModel.ID != "mine" || !got.Language.Locked || got.Language.Sandbox != "on" {
		t.Errorf("resolved to %+v, %v", got.Language, err)
	}
	text, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.toml", text)
	if err != nil || !again.Language.Locked || again.Language.Environment[0] != "TOKEN" {
		t.Errorf("read again %+v, %v", again, err)
	}
	if _, err := load(t, "tiny-stage2-opt", "vision={plugin='mine'}").Resolve(reg); err == nil || !strings.Contains(err.Error(), `vision.plugin: is "mine", a language-model, want a vision-encoder`) {
		t.Errorf("a plugin of the other kind: %v", err)
	}
}

// Models of plugins have names that tell them apart in tables: "checkpoint" is the
// folder of every project.
func TestModelsOfPluginsAreNamed(t *testing.T) {
	root := t.TempDir()
	project := filepath.Join(root, "words")
	for _, dir := range []string{"words/checkpoint", "words/large/checkpoint", "words/small", "elsewhere/checkpoint", "llama-3b"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"words/plugin.toml":                  "name = 'mine'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\n",
		"words/bridge-adapter-mine":          "#!/bin/sh\n",
		"words/large/checkpoint/config.json": `{"model_type": "opt"}`, // which a built-in family reads, too
	} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"words": "mine", "words/checkpoint": "mine", "words/large/checkpoint": "mine-large", "words/small": "mine-small",
		"elsewhere/checkpoint": "elsewhere", "llama-3b": "llama-3b",
	} {
		for _, plugin := range []string{project, filepath.Join(project, "bridge-adapter-mine")} {
			got := resolve(t, load(t, "tiny-stage2-opt", fmt.Sprintf("language={plugin=%q, path=%q}", plugin, filepath.Join(root, path))))
			if got.LanguageModel.ID != want {
				t.Errorf("%s of %s is called %q, want %q", path, plugin, got.LanguageModel.ID, want)
			}
		}
	}
}
