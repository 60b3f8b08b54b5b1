package bridge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A project that is moved or copied whole finds what lies in it; a bridge that is
// moved alone finds what stayed.
func TestMovedBridges(t *testing.T) {
	root := t.TempDir()
	project, run, outside := filepath.Join(root, "p"), filepath.Join("runs", "t", "bridge"), filepath.Join(root, "models", "llm")
	at := func(project string) Info {
		return Info{Stage: 2, Stage1: filepath.Join(project, "runs", "one"), Vision: Side{ID: "v", Path: filepath.Join(project, "my encoder"), Plugin: filepath.Join(project, "plugins", "x")},
			Language: &Side{ID: "l", Path: outside}}
	}
	save := func(info Info, dir string) {
		t.Helper()
		data, err := json.Marshal(infoJSON{Format: formatVersion, Info: info.withRelPaths(dir)})
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, infoFile), data, 0o644))
	}
	read := func(dir string, want Info) {
		t.Helper()
		got, _, err := ReadInfo(dir)
		must(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, want %+v", dir, got, want)
		}
	}
	info := at(project)
	for _, dir := range []string{filepath.Join(project, run), info.Vision.Path, info.Vision.Plugin, info.Stage1, outside} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	info.Project = project
	save(info, filepath.Join(project, run))
	info.Project = ""
	read(filepath.Join(project, run), info)

	copied := filepath.Join(root, "deeper", "q")
	must(t, os.CopyFS(copied, os.DirFS(project)))
	read(filepath.Join(copied, run), at(copied)) // though the old one is there, too
	must(t, os.RemoveAll(filepath.Join(copied, "plugins")))
	want := at(copied)
	want.Vision.Plugin = info.Vision.Plugin
	read(filepath.Join(copied, run), want)

	alone := filepath.Join(root, "alone")
	must(t, os.Rename(filepath.Join(project, run), alone))
	read(alone, info)
	must(t, os.RemoveAll(project))
	read(alone, info)
}

// What lies outside of the project, or a bridge that does, is named in full alone.
func TestOutsideOfTheProject(t *testing.T) {
	for _, c := range []struct{ project, dir, path, want string }{
		{"/p", "/p/runs/t/bridge", "/p/x", "../../../x"},
		{"/p", "/p", "/p/x", "x"},
		{"/p", "/p/x", "/p", ".."},
		{"/p", "/p/runs", "/px", ""},
		{"/p", "/runs", "/p/x", ""},
		{"/p", "/p/runs", "kit:stage1", ""},
		{"/p", "/p/runs", "", ""},
		{"", "/p/runs", "/p/x", ""},
	} {
		if got := relPath(c.project, c.dir, c.path); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}
