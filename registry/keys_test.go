package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/lockfile"
)

// goldenFolder is a reference checkpoint of a built-in family.
type goldenFolder struct {
	family adapters.Family
	*golden.Folder
}

// goldenFolders returns golden folders of all built-in families: two of each family, or all in
// the long tests.
func goldenFolders(t *testing.T) (all []goldenFolder) {
	for _, family := range builtin.Families() {
		dirs, err := golden.Dirs(filepath.Join(testenv.Root(), "adapters", family.Name, "testdata"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("%s has the golden folders %v, %v", family.Name, dirs, err)
		}
		if len(dirs) > 2 && !testenv.Long() {
			dirs = []string{dirs[0], dirs[len(dirs)-1]}
		}
		for _, dir := range dirs {
			f, err := golden.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, goldenFolder{family, f})
		}
	}
	return all
}

// copied copies the folder's checkpoint and returns its backbone.
func (f goldenFolder) copied(t *testing.T) Backbone {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(f.Checkpoint())); err != nil {
		t.Fatal(err)
	}
	return Backbone{Manifest: Manifest{ID: "mine", Kind: f.family.Kind, Family: f.family.Name}, Source: FromFolder, Path: dir}
}

// present returns the model's entry, and everything of it by which features and runs are told
// apart.
func present(t *testing.T, b Backbone) (e lockfile.Entry, key string) {
	t.Helper()
	e, found, err := b.PresentEntry("", nil)
	if !found {
		t.Fatalf("the weights are not found: %v", err)
	}
	if err != nil {
		return e, "refused"
	}
	return e, FeatureKey(e) + " " + e.Digest
}

// Whatever value of whatever file of a checkpoint changes, the lock of a run notices and names
// the file, and the key of an encoder's features changes: also if the file keeps its size and
// its times. Files of tokenizers do not change features.
func TestEveryValueOfACheckpointIsInItsKey(t *testing.T) {
	for _, f := range goldenFolders(t) {
		t.Run(f.family.Name+"/"+filepath.Base(f.Dir), func(t *testing.T) {
			t.Parallel()
			b := f.copied(t)
			was, key := present(t, b)
			names, err := allFiles(b.Path)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				path := filepath.Join(b.Path, name)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				for what, edited := range edits(t, name, text) {
					write(t, path, string(edited))
					if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
						t.Fatal(err)
					}
					now, nowKey := present(t, b)
					mustNotice(t, name+": "+what, name, was, now)
					if b.Kind == adapters.KindVision && nowKey == key && !slices.Contains(languageFiles(), name) {
						t.Errorf("%s: %s: the key of the features stays", name, what)
					}
				}
				write(t, path, string(text))
			}
			if now, nowKey := present(t, b); nowKey != key || !reflect.DeepEqual(now.Files, was.Files) {
				t.Errorf("the restored folder has the key %s, want %s", nowKey, key)
			}
		})
	}
}

// mustNotice checks that a lock refuses a changed file and names it.
func mustNotice(t *testing.T, what, name string, was, now lockfile.Entry) {
	t.Helper()
	err := lockfile.Lock{Vision: was}.CheckPresent(lockfile.Lock{Vision: now})
	if err == nil || !strings.Contains(err.Error(), name+" was ") {
		t.Errorf("%s: the lock says %v", what, err)
	}
}

// edits returns the texts of a file with one value changed each, by a description: of each key of
// a JSON file, of each tensor, and else of a byte.
func edits(t *testing.T, name string, text []byte) map[string][]byte {
	t.Helper()
	switch {
	case strings.HasSuffix(name, ".safetensors"):
		return tensorEdits(t, text)
	case strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, ".index.json"):
		return jsonEdits(t, text)
	case strings.HasSuffix(name, ".index.json"): // another white space, because other content is refused
		return map[string][]byte{"white space": append(bytes.Clone(text), ' ')}
	}
	edited := bytes.Clone(text)
	edited[len(edited)/2] ^= 1
	return map[string][]byte{"a byte": edited}
}

// tensorEdits changes the last byte of each tensor in turn.
func tensorEdits(t *testing.T, file []byte) map[string][]byte {
	t.Helper()
	size := int(file[0]) | int(file[1])<<8 | int(file[2])<<16
	var header map[string]struct {
		Offsets []int `json:"data_offsets"`
	}
	if err := json.Unmarshal(file[8:8+size], &header); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for name, tensor := range header {
		if len(tensor.Offsets) == 2 && tensor.Offsets[1] > tensor.Offsets[0] {
			edited := bytes.Clone(file)
			edited[8+size+tensor.Offsets[1]-1] ^= 1
			all[name] = edited
		}
	}
	return sample(all)
}

// jsonEdits changes the value of each key in turn.
func jsonEdits(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	forEachValue(root, "", func(key string) {
		edited, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		all[key] = edited
	})
	return sample(all)
}

// forEachValue changes each value below node, calls then with its key, and restores it.
func forEachValue(node any, at string, then func(key string)) {
	visit := func(key string, value any, set func(any)) {
		key = at + "." + key
		if other := anotherValue(value); other != nil {
			set(other)
			then(key)
			set(value)
		} else {
			forEachValue(value, key, then)
		}
	}
	switch n := node.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(n)) {
			visit(key, n[key], func(v any) { n[key] = v })
		}
	case []any:
		for i := range n {
			visit(fmt.Sprint(i), n[i], func(v any) { n[i] = v })
		}
	}
}

// anotherValue returns another value of a kind that the key can have; nil for lists and objects.
func anotherValue(value any) any {
	switch v := value.(type) {
	case nil:
		return 1
	case bool:
		return !v
	case float64:
		return v + 1
	case string:
		others := map[string]string{"gelu": "relu", "quick_gelu": "gelu", "gelu_new": "gelu", "relu": "gelu", "silu": "gelu"}
		if other, ok := others[v]; ok {
			return other
		}
		return v + "x"
	}
	return nil
}

// sample returns some of the edits, the same each time: all of them in the long tests.
func sample(all map[string][]byte) map[string][]byte {
	const most = 6
	names := slices.Sorted(maps.Keys(all))
	if len(names) <= most || testenv.Long() && len(names) < 2000 {
		return all
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(names), sort.StringSlice(names).Swap)
	some := map[string][]byte{}
	for _, name := range names[:most] {
		some[name] = all[name]
	}
	return some
}

// A file that is added, and that an adapter would read, is noticed. So is one that is removed.
func TestAddedAndRemovedFilesAreNoticed(t *testing.T) {
	b := Backbone{Manifest: Manifest{ID: "mine", Kind: adapters.KindVision}, Source: FromFolder,
		Path: checkpointOf(t, t.TempDir(), `{"model_type": "opt"}`)}
	for _, pattern := range DefaultFiles() {
		name := strings.ReplaceAll(pattern, "*", "1")
		path := filepath.Join(b.Path, name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		was, _ := b.FilesEntry("")
		write(t, path, "{}")
		now, err := b.FilesEntry("")
		if err != nil {
			t.Fatal(err)
		}
		if got := was.ChangedFiles(now); !slices.Equal(got, []string{name}) {
			t.Errorf("added %s: changed %v", name, got)
		}
		if got := now.ChangedFiles(was); !slices.Equal(got, []string{name}) {
			t.Errorf("removed %s: changed %v", name, got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A manifest that names its files says what to fetch. Files that the adapter reads beside them
// count too, but a lock of an older version says nothing of them.
func TestLockHasMoreThanTheManifestsFiles(t *testing.T) {
	dir := checkpointOf(t, t.TempDir(), `{"model_type": "opt"}`)
	b := Backbone{Manifest: Manifest{ID: "mine", Repository: "a/b", Files: []string{"*.json", "*.safetensors"}}, Source: FromPath, Path: dir}
	write(t, filepath.Join(dir, "tokenizer.model"), "1")
	was, err := b.FilesEntry("")
	if err != nil || was.Files["tokenizer.model"] == "" {
		t.Fatalf("%+v, %v", was, err)
	}
	older := was
	older.Files, older.AllFiles = maps.Clone(was.Files), false
	delete(older.Files, "tokenizer.model")
	if got := older.ChangedFiles(was); len(got) != 0 {
		t.Errorf("a lock of an older version finds %v changed", got)
	}
	write(t, filepath.Join(dir, "tokenizer.model"), "2")
	write(t, filepath.Join(dir, "generation_config.json"), "{}")
	now, err := b.FilesEntry("")
	if err != nil {
		t.Fatal(err)
	}
	if got := was.ChangedFiles(now); !slices.Equal(got, []string{"generation_config.json", "tokenizer.model"}) {
		t.Errorf("changed %v", got)
	}
	if got := older.ChangedFiles(now); !slices.Equal(got, []string{"generation_config.json"}) {
		t.Errorf("a lock of an older version finds %v changed", got)
	}
}

// A plugin may read any file of the folder that it loads.
func TestLockHasAllFilesOfAPluginsCheckpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "checkpoint")
	for _, name := range []string{"parts", ".git", "runs", "__pycache__"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "x.yaml"), "1")
	}
	write(t, filepath.Join(dir, "weights.npz"), "1")
	write(t, filepath.Join(dir, lockfile.Name), "1")
	b := Backbone{Manifest: Manifest{ID: "own"}, Source: FromFolder, Path: dir}
	was, err := b.FilesEntry("/plugins/own")
	if got := slices.Sorted(maps.Keys(was.Files)); err != nil || !slices.Equal(got, []string{"parts/x.yaml", "weights.npz"}) {
		t.Fatalf("files %v, %v", got, err)
	}
	write(t, filepath.Join(dir, "parts", "x.yaml"), "2")
	now, err := b.FilesEntry("/plugins/own")
	if err != nil || FeatureKey(now) == FeatureKey(was) || !slices.Equal(was.ChangedFiles(now), []string{"parts/x.yaml"}) {
		t.Errorf("changed %v, %v", was.ChangedFiles(now), err)
	}
	older := lockfile.Entry{ID: "own"} // of an older version: it found no file with a usual name
	if got := older.ChangedFiles(now); len(got) != 0 {
		t.Errorf("a lock of an older version finds %v changed", got)
	}
}

// The key of features has the plugin's code and version, the family and the activation.
func TestFeatureKeyHasTheProgram(t *testing.T) {
	base := lockfile.Entry{Family: "vit", Plugin: "/p", PluginDigest: "sha256:1", PluginVersion: "1", Files: map[string]string{"config.json": "sha256:1"}}
	for name, change := range map[string]func(*lockfile.Entry){
		"family": func(e *lockfile.Entry) { e.Family = "eva" }, "code": func(e *lockfile.Entry) { e.PluginDigest = "sha256:2" },
		"version": func(e *lockfile.Entry) { e.PluginVersion = "2" }, "activation": func(e *lockfile.Entry) { e.Activation = "gelu" },
		"file": func(e *lockfile.Entry) { e.Files = map[string]string{"config.json": "sha256:2"} },
	} {
		other := base
		change(&other)
		if FeatureKey(other) == FeatureKey(base) {
			t.Errorf("another %s has the same key", name)
		}
	}
	moved := base
	moved.Plugin, moved.ID, moved.Source = "/elsewhere", "other", "path"
	if FeatureKey(moved) != FeatureKey(base) {
		t.Error("a moved plugin has another key")
	}
}
