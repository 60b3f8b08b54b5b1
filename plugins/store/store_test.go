package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/dirhash"
)

// mark is a program that creates a file next to its folder when it runs.
const mark = "#!/bin/sh\ntouch \"$(dirname \"$0\")/../was-run\"\n"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plugin writes a plugin's folder.
func plugin(t *testing.T, dir, name string) string {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "plugin.toml"), []byte("name = '"+name+"'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "bridge-adapter-"+name), []byte(mark), 0o755))
	return dir
}

func folders(t *testing.T) Folders {
	t.Helper()
	dir := t.TempDir()
	return Folders{Project: filepath.Join(dir, "project", "plugins"), User: filepath.Join(dir, "user", "plugins")}
}

func TestFind(t *testing.T) {
	f := folders(t)
	plugin(t, filepath.Join(f.User, "both"), "both")
	project := plugin(t, filepath.Join(f.Project, "both"), "both")
	user := plugin(t, filepath.Join(f.User, "theirs"), "theirs")
	alias := plugin(t, filepath.Join(f.User, "old-theirs"), "theirs")

	both, err := f.Find("both")
	if err != nil || both.Dir != project || both.Place != InProject || both.Shadows != filepath.Join(f.User, "both") {
		t.Errorf("with two of this name: %+v, %v", both, err)
	}
	theirs, err := f.Find("theirs")
	if err != nil || theirs.Dir != user || theirs.Place != OfUser || theirs.Program != filepath.Join(user, "bridge-adapter-theirs") || theirs.Shadows != "" {
		t.Errorf("the user's is %+v, %v", theirs, err)
	}
	if got, err := f.Find("old-theirs"); err != nil || got.Dir != alias || got.Manifest.Name != "theirs" || got.Name != "old-theirs" {
		t.Errorf("under another name %+v, %v", got, err)
	}
	if _, err := f.Find("bothe"); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), `no plugin "bothe" in `) || !strings.Contains(err.Error(), "did you mean both?") {
		t.Errorf("an unknown name: %v", err)
	}
	if got, err := f.Find(alias + "/"); err != nil || got.Name != "old-theirs" || got.Place != OfUser {
		t.Errorf("by its path in the store %+v, %v", got, err)
	}
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("tool", nil, 0o755))
	if _, err := f.Find("tool"); err == nil || !strings.Contains(err.Error(), "./tool is the path") {
		t.Errorf("a file of that name: %v", err)
	}
}

func TestFindByPath(t *testing.T) {
	f := folders(t)
	dir := plugin(t, filepath.Join(t.TempDir(), "somewhere"), "x")
	program := filepath.Join(dir, "bridge-adapter-x")
	for _, path := range []string{dir, program, dir + "/"} {
		if got, err := f.Find(path); err != nil || got.Dir != dir || got.Name != "x" || got.Program != program || got.Place != ByPath {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	other := filepath.Join(dir, "bridge-adapter-other.sh")
	must(t, os.WriteFile(other, nil, 0o755))
	if got, err := f.Find(other); err != nil || got.Dir != "" || got.Name != "other" || got.Program != other {
		t.Errorf("an executable without a manifest entry: %+v, %v", got, err)
	}
	if _, err := f.Find(filepath.Join(dir, "none")); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("a missing path: %v", err)
	}
	if _, err := f.Find(t.TempDir() + "/"); err == nil || !strings.Contains(err.Error(), "is not a plugin's folder") {
		t.Errorf("another folder: %v", err)
	}
}

func TestList(t *testing.T) {
	f := folders(t)
	if all, broken, err := f.List(); err != nil || len(all)+len(broken) > 0 {
		t.Errorf("without folders %v, %v, %v", all, broken, err)
	}
	plugin(t, filepath.Join(f.User, "b"), "b")
	plugin(t, filepath.Join(f.Project, "b"), "b")
	plugin(t, filepath.Join(f.Project, "a"), "a")
	plugin(t, filepath.Join(f.Project, "Bad"), "bad")
	must(t, os.MkdirAll(filepath.Join(f.Project, "no-plugin"), 0o755))
	must(t, os.MkdirAll(filepath.Join(f.Project, "broken"), 0o755))
	must(t, os.WriteFile(filepath.Join(f.Project, "broken", "plugin.toml"), []byte("nam = 1"), 0o644))
	all, broken, err := f.List()
	must(t, err)
	if len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" || all[1].Place != InProject || all[1].Shadows == "" {
		t.Errorf("plugins %+v", all)
	}
	if len(broken) != 2 || broken[0].Name != "Bad" || broken[1].Name != "broken" || !strings.Contains(broken[1].Err.Error(), "did you mean name?") {
		t.Errorf("broken %+v", broken)
	}
	if ran, _ := filepath.Glob(filepath.Join(filepath.Dir(f.Project), "*", "was-run")); len(ran) > 0 {
		t.Error("listing ran a plugin")
	}
}

func TestCheckExecutable(t *testing.T) {
	dir := plugin(t, filepath.Join(t.TempDir(), "x"), "x")
	p, err := OpenPath(dir)
	must(t, err)
	must(t, p.CheckExecutable())
	must(t, os.Chmod(p.Program, 0o644))
	if err := p.CheckExecutable(); err == nil || !strings.Contains(err.Error(), "chmod +x "+p.Program) {
		t.Errorf("no executable: %v", err)
	}
	must(t, os.Remove(p.Program))
	if err := p.CheckExecutable(); err == nil || !strings.Contains(err.Error(), "put it there") {
		t.Errorf("none at all: %v", err)
	}
	p.Manifest.Build.Command = "make"
	if err := p.CheckExecutable(); err == nil || !strings.Contains(err.Error(), "build it: in "+dir+", make") {
		t.Errorf("not built: %v", err)
	}
}

// The launcher in a release does not work before the build has run.
func TestCheckBuilt(t *testing.T) {
	f, from := folders(t), plugin(t, filepath.Join(t.TempDir(), "x"), "x")
	text, err := os.ReadFile(filepath.Join(from, "plugin.toml"))
	must(t, err)
	must(t, file(from, "plugin.toml", string(text)+"[build]\ncommand = 'mkdir .venv'\nmakes = ['.venv']\n"))
	p, err := OpenPath(from)
	must(t, err)
	must(t, p.CheckExecutable())
	if err := p.CheckBuilt(); err == nil || !strings.Contains(err.Error(), "plugin x is not built here: it lacks .venv") || !strings.Contains(err.Error(), "bridge plugin build "+from) {
		t.Errorf("not built: %v", err)
	}
	if _, err := f.Add(from, "", InProject, nil); err == nil || !strings.Contains(err.Error(), "is not built") {
		t.Errorf("added without a build: %v", err)
	}
	p.Manifest.Build.Command = ""
	if err := p.CheckBuilt(); err == nil || !strings.Contains(err.Error(), "take it out of makes in "+filepath.Join(from, "plugin.toml")) {
		t.Errorf("nothing builds it: %v", err)
	}
	must(t, os.Mkdir(filepath.Join(from, ".venv"), 0o755))
	must(t, p.CheckBuilt())
	if _, err := f.Add(from, "", InProject, nil); err != nil {
		t.Error(err)
	}
}

func TestAddAndRemove(t *testing.T) {
	f := folders(t)
	from := plugin(t, filepath.Join(t.TempDir(), "x"), "x")
	must(t, os.MkdirAll(filepath.Join(from, "lib", "empty"), 0o755))
	must(t, os.WriteFile(filepath.Join(from, "lib", "a.py"), []byte("x = 1\n"), 0o600))
	must(t, os.Symlink("a.py", filepath.Join(from, "lib", "b.py")))
	then := time.Unix(1e9, 0)
	must(t, os.Chtimes(filepath.Join(from, "lib", "a.py"), then, then))

	p, err := f.Add(from, "", InProject, nil)
	if err != nil || p.Name != "x" || p.Dir != filepath.Join(f.Project, "x") || p.Place != InProject {
		t.Fatalf("added %+v, %v", p, err)
	}
	was, err := dirhash.Read(from)
	must(t, err)
	is, err := dirhash.Read(p.Dir)
	must(t, err)
	if was.Digest() != is.Digest() {
		t.Errorf("the copy differs: %v", dirhash.Differences(was.Parts(), is.Parts()))
	}
	if info, err := os.Stat(filepath.Join(p.Dir, "lib", "a.py")); err != nil || !info.ModTime().Equal(then) || info.Mode().Perm() != 0o644 {
		t.Errorf("the copied file is %v, %v", info, err)
	}
	if _, err := f.Add(from, "", InProject, nil); err == nil || !strings.Contains(err.Error(), "bridge plugin remove x --project") {
		t.Errorf("added twice: %v", err)
	}
	if p, err := f.Add(filepath.Join(from, "bridge-adapter-x"), "y", OfUser, nil); err != nil || p.Name != "y" || p.Dir != filepath.Join(f.User, "y") {
		t.Errorf("under another name %+v, %v", p, err)
	}
	if _, err := f.Remove("x", OfUser); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("removed from the other place: %v", err)
	}
	if dir, err := f.Remove("x", ""); err != nil || dir != p.Dir {
		t.Errorf("removed %s, %v", dir, err)
	}
	if left, _ := os.ReadDir(f.Project); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	must(t, os.Symlink(from, filepath.Join(f.Project, "x")))
	_, err = f.Remove("x", InProject)
	must(t, err)
	if _, err := os.Stat(from); err != nil {
		t.Errorf("removing a link removed its target: %v", err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(from), "was-run")); err == nil {
		t.Error("adding ran the plugin")
	}
}

// Files that do not belong to the plugin are not copied, and the copy matches the pin.
func TestAddExcludes(t *testing.T) {
	f := folders(t)
	from := plugin(t, filepath.Join(t.TempDir(), "x"), "x")
	p, err := OpenPath(from)
	must(t, err)
	was, err := p.Read()
	must(t, err)
	for _, name := range []string{"runs/t/report.html", ".git/config", "__pycache__/x.pyc", "bridge.lock"} {
		must(t, file(from, name, "x"))
	}
	added, err := f.Add(from, "", InProject, nil)
	if err != nil || strings.Join(added.Excluded, " ") != ".git __pycache__ bridge.lock runs" {
		t.Fatalf("left %v, %v", added.Excluded, err)
	}
	is, err := added.Read()
	must(t, err)
	if is.Pin.Digest != was.Pin.Digest || is.Release != was.Release || len(is.Excluded) > 0 {
		t.Errorf("the copy differs: %v, excluded %v", dirhash.Differences(was.Pin.Parts, is.Pin.Parts), is.Excluded)
	}
	must(t, file(from, ".venv/lib/__pycache__/x.pyc", "x")) // comes with the environment
	if added, err = f.Add(from, "y", InProject, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(added.Dir, ".venv/lib/__pycache__/x.pyc")); err != nil {
		t.Error(err)
	}
}

func TestAddRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"no manifest":   {func(d string) error { return os.Remove(filepath.Join(d, "plugin.toml")) }, "is not a plugin's folder"},
		"no executable": {func(d string) error { return os.Remove(filepath.Join(d, "bridge-adapter-x")) }, "has no executable"},
		"link out":      {func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "y")) }, "is a link out of the folder, to /etc/passwd"},
		"writable":      {func(d string) error { return os.Chmod(filepath.Join(d, "plugin.toml"), 0o666) }, "everybody can write"},
		"interpreter there": {func(d string) error {
			return os.WriteFile(filepath.Join(d, "bridge-adapter-x"), []byte("#!"+d+"/.venv/bin/python\n"), 0o755)
		}, "which the copy would still use"},
		"editable": {func(d string) error { return file(d, ".venv/lib/python3.11/site-packages/x.pth", "/home/me/x\n") }, "pip install without -e"},
		"finder": {func(d string) error {
			return file(d, ".venv/lib/python3.11/site-packages/__editable___x_finder.py", "MAPPING = {'x': '"+d+"/src'}\n")
		}, "pip install without -e"},
	} {
		t.Run(name, func(t *testing.T) {
			f, from := folders(t), plugin(t, filepath.Join(t.TempDir(), "x"), "x")
			must(t, c.change(from))
			_, err := f.Add(from, "", InProject, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if left, err := os.ReadDir(f.Project); !errors.Is(err, os.ErrNotExist) && len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
	f, from := folders(t), plugin(t, filepath.Join(t.TempDir(), "x"), "x")
	if _, err := f.Add(from, "../y", InProject, nil); err == nil || !strings.Contains(err.Error(), `the name is "../y"`) {
		t.Errorf("a name that leaves the folder: %v", err)
	}
	read, no := Snapshot{}, errors.New("no")
	if _, err := f.Add(from, "", InProject, func(s Snapshot) error { read = s; return no }); !errors.Is(err, no) || read.Dir != from || read.Pin.Digest == "" {
		t.Errorf("accept refused %+v: %v", read.Pin, err)
	}
	must(t, file(from, ".venv/lib/python3.11/site-packages/distutils-precedence.pth", "import os\n")) // made by pip
	if _, err := f.Add(from, "", InProject, nil); err != nil {
		t.Error(err)
	}
}

func file(dir, name, text string) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func TestDefault(t *testing.T) {
	t.Setenv("BRIDGE_DATA", "/data")
	if got := Default(); got != (Folders{Project: "plugins", User: filepath.FromSlash("/data/plugins")}) {
		t.Errorf("folders %+v", got)
	}
	t.Setenv("BRIDGE_DATA", "")
	t.Setenv("XDG_DATA_HOME", "/xdg")
	if got := Default().User; got != filepath.FromSlash("/xdg/bridge/plugins") {
		t.Errorf("user's folder %s", got)
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/me")
	if got := Default().User; !strings.HasPrefix(got, "/home/me/") || !strings.HasSuffix(got, "bridge/plugins") {
		t.Errorf("user's folder %s", got)
	}
}
