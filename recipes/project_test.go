package recipes

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/plugins/lockfile"
)

// project writes the files that a recipe names, and the recipe of a run there.
func project(t *testing.T, dir string, l lockfile.Lock) (run string, want map[string]string) {
	t.Helper()
	want = map[string]string{}
	r := &Resolved{Recipe: Recipe{Name: "x", Stage: 2, Language: &Language{}}}
	for _, k := range r.pathKeys() {
		*k.value = filepath.Join(dir, "in", k.key)
		want[k.key] = *k.value
		must(t, os.MkdirAll(*k.value, 0o755))
	}
	*r.pathKeys()[slices.IndexFunc(r.pathKeys(), func(k pathKey) bool { return k.key == "vision.plugin" })].value = filepath.Join(dir, "x")
	want["vision.plugin"] = filepath.Join(dir, "x")
	must(t, os.MkdirAll(filepath.Join(dir, "x"), 0o755))
	run = filepath.Join(dir, "runs", "t")
	must(t, os.MkdirAll(run, 0o755))
	must(t, lockfile.Write(filepath.Join(run, lockfile.Name), l))
	text, err := r.Portable(dir).Encode()
	must(t, err)
	if strings.Contains(string(text), dir) || !strings.Contains(string(text), `plugin = "./x"`) {
		t.Errorf("the recipe names the folder of its project:\n%s", text)
	}
	must(t, os.WriteFile(filepath.Join(run, "recipe.toml"), text, 0o644))
	return run, want
}

// named returns the paths that a recipe's file means. The rest of the recipe is missing.
func named(t *testing.T, file string) map[string]string {
	t.Helper()
	doc, err := read(file)
	must(t, err)
	got := map[string]string{}
	for _, k := range (&Recipe{Language: &Language{}}).pathKeys() {
		if v, ok := doc.Value(k.key); ok {
			got[k.key] = v.(string)
		}
	}
	return got
}

func TestRecipesOfMovedProjects(t *testing.T) {
	root := t.TempDir()
	old := filepath.Join(root, "p")
	run, want := project(t, old, lockfile.Lock{Vision: lockfile.Entry{ID: "x"}, Project: "../..", ProjectWas: old})
	check := func(run string, want map[string]string) {
		t.Helper()
		if got := named(t, filepath.Join(run, "recipe.toml")); !reflect.DeepEqual(got, want) {
			t.Errorf("%s names\n%v, want\n%v", run, got, want)
		}
	}
	check(run, want)
	t.Chdir(run) // it means the same from anywhere
	check(".", want)

	copied := filepath.Join(root, "deeper", "q")
	must(t, os.CopyFS(copied, os.DirFS(old)))
	there := map[string]string{}
	for key, path := range want {
		there[key] = strings.Replace(path, old, copied, 1)
	}
	check(filepath.Join(copied, "runs", "t"), there) // though the old one is there, too

	alone := filepath.Join(root, "alone")
	must(t, os.CopyFS(alone, os.DirFS(run)))
	check(alone, want)

	must(t, os.RemoveAll(filepath.Join(alone, lockfile.Name))) // a recipe alone is anybody's
	relative := named(t, filepath.Join(alone, "recipe.toml"))
	if relative["vision.plugin"] != "./x" || relative["from"] != "in/from" {
		t.Errorf("without a run's lock it names %v", relative)
	}
	must(t, os.WriteFile(filepath.Join(alone, lockfile.Name), []byte("project = 1"), 0o644))
	if _, err := Load(filepath.Join(alone, "recipe.toml")); err == nil || !strings.Contains(err.Error(), "project: is the integer 1") {
		t.Errorf("a damaged lock: %v", err)
	}
}

// What is a name, the kit's or a repository stays what it is.
func TestNamesAreNoPaths(t *testing.T) {
	r := &Resolved{Recipe: Recipe{From: "kit:stage1", Vision: Vision{Backbone: Backbone{Plugin: "x"}}, QFormer: QFormer{Tokenizer: "kit:qformer", Init: "google/bert"}}}
	if got := r.Portable("/"); !reflect.DeepEqual(*got, r.Recipe) {
		t.Errorf("got %+v", got)
	}
	for _, k := range r.pathKeys() {
		if *k.value != "" && !k.other(*k.value) {
			t.Errorf("%s = %q is taken for a path", k.key, *k.value)
		}
	}
}
