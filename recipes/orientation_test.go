package recipes

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/plugins/lockfile"
)

func TestOrientationProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"another orientation", "tiny-stage1", []string{"data.orientation=left"}, []string{`data.orientation: is "left", want`}},
	})
}

// The recipe of a run has the orientation. One that has none is of a version that ignored it.
func TestRunsRecordTheOrientation(t *testing.T) {
	r := load(t, "tiny-stage1")
	if r.Data.Orientation != "exif" {
		t.Errorf("the default is %q", r.Data.Orientation)
	}
	text, err := r.Encode()
	must(t, err)
	line := []byte("orientation = \"exif\"\n")
	if !bytes.Contains(text, line) {
		t.Fatalf("the recipe does not record the orientation:\n%s", text)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, RunFile)
	orientation := func(text []byte) string {
		must(t, os.WriteFile(file, text, 0o644))
		return load(t, file).Data.Orientation
	}
	old := bytes.Replace(text, line, nil, 1)
	if got := orientation(old); got != "exif" {
		t.Errorf("a recipe outside any run means %q", got)
	}
	must(t, lockfile.Write(filepath.Join(dir, lockfile.Name), lockfile.Lock{Vision: lockfile.Entry{ID: "x"}}))
	if got := orientation(old); got != "ignore" {
		t.Errorf("the recipe of a run that recorded none means %q", got)
	}
	if d := Differences(load(t, file), r); len(d) > 0 {
		t.Errorf("a run of the kit, whose pictures have no orientation, differs: %v", d)
	}
	files := []string{"data.train={annotations='a.json', images='x'}"}
	if d := Differences(load(t, file, files...), load(t, "tiny-stage1", files...)); len(d) != 1 || d[0].Key != OrientationKey {
		t.Errorf("a run of files differs by %v, want by its orientation", d)
	}
	if got := orientation(text); got != "exif" {
		t.Errorf("the recipe of a run that recorded it means %q", got)
	}
}
