package workspace

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/registry"
)

// Changes names the files that differ from those of the training, and says nothing about what a
// bridge does not record.
func TestChangesNamesFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	model := registry.Backbone{Manifest: registry.Manifest{ID: "mine"}, Source: registry.FromFolder, Path: dir}
	entry := func(plugin string) lockfile.Entry {
		t.Helper()
		e, err := model.FilesEntry(plugin)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors", "notes.yaml"} {
		put(name, "1")
	}
	was := entry("")
	trained := bridge.Side{ID: "mine", Files: was.Files, AllFiles: true}
	inOldLock := bridge.Side{ID: "mine", Files: was.Files} // as older versions recorded it
	pluginsOwn := bridge.Side{ID: "mine", Plugin: "p", Files: entry("p").Files, AllFiles: true}
	put("config.json", "2")
	put("model.safetensors", "2")
	put("notes.yaml", "2")
	put("generation_config.json", "2")
	for name, c := range map[string]struct {
		trained bridge.Side
		now     lockfile.Entry
		want    []string
	}{
		"same adapter":              {trained, entry(""), []string{"config.json", "generation_config.json"}}, // the weights have their own warning
		"recorded by an older lock": {inOldLock, entry(""), []string{"config.json", "generation_config.json"}},
		"nothing recorded":          {bridge.Side{ID: "mine"}, entry(""), nil},
		"a plugin in its place":     {trained, entry("p"), []string{"config.json", "generation_config.json", "model.safetensors"}},
		"the same plugin":           {pluginsOwn, entry("p"), []string{"config.json", "generation_config.json", "model.safetensors", "notes.yaml"}},
		"unchanged":                 {bridge.Side{Files: entry("").Files, AllFiles: true}, entry(""), nil},
	} {
		if got := Changes(c.trained, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	now := entry("")
	now.Activation = "gelu"
	if got := Changes(bridge.Side{Files: now.Files, AllFiles: true}, now); !slices.Equal(got, []string{`activation (was "", is "gelu")`}) {
		t.Errorf("another activation: %v", got)
	}
	if got := Changes(bridge.Side{Files: now.Files}, now); len(got) != 0 {
		t.Errorf("an activation that is not recorded: %v", got)
	}
}
