package workspace

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/imaging"
)

func TestOrientationOfATrainedBridge(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "runs", "testdata", "run-03ee870", "runs", "stage2"))); err != nil {
		t.Fatal(err)
	}
	check := func(folder string, want imaging.Orientation) {
		t.Helper()
		if got, err := trainedOrientation(folder); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", folder, got, err, want)
		}
	}
	inRun := filepath.Join(dir, "bridge")
	check(inRun, imaging.AsStored)
	check(t.TempDir(), imaging.ByExif)

	recipe := filepath.Join(dir, "recipe.toml")
	text, err := os.ReadFile(recipe)
	if err != nil {
		t.Fatal(err)
	}
	write := func(line string) {
		if err := os.WriteFile(recipe, append(text, line...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("\n[data]\n") // a second table of this name
	if _, err := trainedOrientation(inRun); err == nil {
		t.Error("a damaged recipe is no error")
	}
	text = nil
	write("[data]\norientation = \"exif\"\n")
	check(inRun, imaging.ByExif)
	write("[data]\norientation = \"left\"\n")
	if _, err := trainedOrientation(inRun); err == nil {
		t.Error("an unknown orientation is no error")
	}
}
