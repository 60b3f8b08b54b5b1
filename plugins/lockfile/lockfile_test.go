package lockfile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/plugins/store"
)

const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestProjectLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), Name)
	if got, err := ReadProject(path); err != nil || !reflect.DeepEqual(got, Lock{}) {
		t.Errorf("without a file %+v, %v", got, err)
	}
	want := Lock{Plugins: map[string]store.Pin{
		"x": {Version: "1.0.0", Protocol: []int{1}, Capabilities: []adapters.Capability{adapters.CapScore}, Digest: dirhash.Prefix + hex,
			SignedBy: "ABC", Parts: map[string]string{".venv": dirhash.Prefix + hex, "bridge-adapter-x": dirhash.Prefix + hex}},
		"bare": {Digest: "sha256:" + hex},
	}}
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadProject(path); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v; wrote %+v", got, err, want)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "vision") || !strings.Contains(string(text), "`bridge plugin lock`") {
		t.Errorf("a project's lock is\n%s, %v", text, err)
	}
}

// damagedLocks are texts of invalid locks, with their errors.
func damagedLocks() map[string]string {
	return map[string]string{
		"[plugins.x]\n":                        `bridge.lock:1: plugins.x.digest: is "", want a digest`,
		"[plugins.x]\ndigest = \"sha256:0\"\n": `bridge.lock:2: plugins.x.digest: is "sha256:0"`,
		"[plugins.x]\ndigst = \"x\"\n":         "plugins.x.digst: unknown key; did you mean plugins.x.digest?",
		"[plugin.x]\n":                         "plugin: unknown key; did you mean plugins?",
		"plugins = 1\n":                        "plugins: is the integer 1, want a table",
		"[plugins.x\n":                         "not valid TOML",
		"\xff\xfe":                             "bridge.lock:1: not UTF-8",
		"[plugins.x]\ndigest = \"sha256:" + strings.ToUpper(hex) + "\"\n": "want a digest",
	}
}

func TestDamagedLock(t *testing.T) {
	for text, want := range damagedLocks() {
		if _, err := Parse(Name, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
}

// All files of a plugin's folder count, not only its executable.
func TestLockOfAPluginsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "plugin.toml"), "name = 'x'\nversion = '1.2.3'\nprotocol = [1]\nkind = 'language-model'\n")
	writeText(t, filepath.Join(dir, "lib", "x.py"), "1")
	if err := os.WriteFile(filepath.Join(dir, "bridge-adapter-x"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	entry := func(plugin string) Entry {
		t.Helper()
		found, err := store.OpenPath(plugin)
		if err != nil {
			t.Fatal(err)
		}
		now, err := found.Read()
		if err != nil {
			t.Fatal(err)
		}
		e := Entry{ID: "own"}
		e.SetPlugin(plugin, now)
		return e
	}
	was := entry(dir)
	if program := entry(filepath.Join(dir, "bridge-adapter-x")); was.PluginVersion != "1.2.3" || program.PluginDigest != was.PluginDigest {
		t.Errorf("folder %+v, its executable %+v", was, program)
	}
	writeText(t, filepath.Join(dir, "lib", "x.py"), "2")
	for _, want := range []string{"vision encoder: the plugin has changed: the digest was " + was.PluginDigest, ", lib changed", "restore its plugin, " + dir} {
		if err := (Lock{Vision: was}).Check(Lock{Vision: entry(dir)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a changed file: %v, want %q in it", err, want)
		}
	}
	built := was
	built.Plugin, built.PluginDigest, built.PluginParts, built.withSignature = "", "", nil, ""
	if err := (Lock{Vision: built}).Check(Lock{Vision: was}); err == nil || !strings.Contains(err.Error(), "there was none, now it is "+dir) {
		t.Errorf("a new plugin: %v", err)
	}
	if err := (Lock{Vision: was}).Check(Lock{Vision: built}); err == nil || !strings.Contains(err.Error(), "it was "+dir+", now there is none") {
		t.Errorf("a removed plugin: %v", err)
	}

	// A signature does not change the record of a run.
	was = entry(dir)
	writeText(t, filepath.Join(dir, store.ReleaseFile), "1")
	writeText(t, filepath.Join(dir, store.SignatureFile), "1")
	signed := entry(dir)
	if err := (Lock{Vision: was}).Check(Lock{Vision: signed}); err != nil || !reflect.DeepEqual(was.PluginParts, signed.PluginParts) {
		t.Errorf("signed: %v, parts %v", err, signed.PluginParts)
	}
	older := signed
	older.PluginDigest, older.PluginParts = signed.withSignature, nil
	if err := (Lock{Vision: older}).Check(Lock{Vision: signed}); err != nil || older.PluginDigest == signed.PluginDigest {
		t.Errorf("recorded by an older version: %v", err)
	}
}

// checksItself fails unless a lock matches itself and no lock with another digest.
func checksItself(t *testing.T, l Lock) {
	t.Helper()
	if err := l.Check(l); err != nil {
		t.Fatalf("%+v does not match itself: %v", l, err)
	}
	for what, change := range map[string]func(e *Entry){
		"weights": func(e *Entry) { e.Digest += "0" }, "plugin": func(e *Entry) { e.PluginDigest += "0" }, "id": func(e *Entry) { e.ID += "0" },
	} {
		changed := l
		change(&changed.Vision)
		if l.Check(changed) == nil {
			t.Fatalf("%+v matches another %s", l, what)
		}
		if l.Language == nil {
			continue
		}
		language := *l.Language
		changed = l
		changed.Language = &language
		change(&language)
		if l.Check(changed) == nil {
			t.Fatalf("%+v matches another %s of the language model", l, what)
		}
	}
}

// Parsing ends for any text, and a parsed lock is written to the same value.
func FuzzLock(f *testing.F) {
	for _, seed := range []string{
		"", "[plugins.x]\ndigest = \"sha256:" + hex + "\"\n[plugins.x.parts]\n\"a b\" = \"\"\n", "[vision]\nid = \"x\"\n[language]\n[language.files]\n\"\" = \"\"\n",
		"plugins = { x = { digest = \"" + dirhash.Prefix + hex + "\", capabilities = [\"\"], protocol = [-1] } }", "[plugins.\"\"]\n", "[plugins]\nx = 1", "\xff", "[[plugins]]", "[plugins]",
	} {
		f.Add(seed)
	}
	for lie := range damagedLocks() {
		f.Add(lie)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(Name, []byte(text))
		if err != nil {
			if text := err.Error(); text != printable.Text(text) {
				t.Fatalf("the error has control characters: %q", text)
			}
			return
		}
		checksItself(t, l)
		for name, pin := range l.Plugins {
			if !store.ValidDigest(pin.Digest) {
				t.Fatalf("accepted %s with %q", name, pin.Digest)
			}
		}
		path := filepath.Join(t.TempDir(), Name)
		if err := Write(path, l); err != nil {
			t.Fatal(err)
		}
		again, err := Read(path)
		if err != nil {
			t.Fatalf("%v in %+v", err, l)
		}
		if err := Write(path+"2", again); err != nil {
			t.Fatal(err)
		}
		one, _ := os.ReadFile(path)
		if two, err := os.ReadFile(path + "2"); err != nil || string(one) != string(two) {
			t.Fatalf("%s\nbecame\n%s, %v", one, two, err)
		}
	})
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Locks record the layer, the picture size and the type that a model computed with, and what the
// run started from. A lock of an older version has none of them and matches any.
func TestLockHasWhatARecipeLeavesToTheModel(t *testing.T) {
	layer, other := -1, -2
	was := Lock{Vision: Entry{ID: "own", Digest: "sha256:1", Family: "vit", Layer: &layer, Image: "224x224", DType: "float32"}, Start: "sha256:1"}
	path := filepath.Join(t.TempDir(), Name)
	if err := Write(path, was); err != nil {
		t.Fatal(err)
	}
	if back, err := Read(path); err != nil || !reflect.DeepEqual(back, was) {
		t.Fatalf("read %+v, %v; wrote %+v", back, err, was)
	}
	for want, change := range map[string]func(*Lock){
		`layer was "-1", is "-2"`:                    func(l *Lock) { l.Vision.Layer = &other },
		`picture size was "224x224", is "96x96"`:     func(l *Lock) { l.Vision.Image = "96x96" },
		`dtype was "float32", is "bfloat16"`:         func(l *Lock) { l.Vision.DType = "bfloat16" },
		`their digest was "sha256:1", is "sha256:2"`: func(l *Lock) { l.Start = "sha256:2" },
	} {
		now := was
		change(&now)
		if err := was.CheckPresent(now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		older := Lock{Vision: Entry{ID: "own", Digest: "sha256:1", Family: "vit"}}
		if err := older.CheckPresent(now); err != nil {
			t.Errorf("a lock of an older version: %v", err)
		}
		if err := was.CheckPresent(Lock{Vision: Entry{ID: "own"}}); err != nil {
			t.Errorf("a model that is not open: %v", err)
		}
	}
}
