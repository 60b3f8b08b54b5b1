package data_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/data"
)

// A named pipe without a writer, and a device, are left out of a data set by name. Opening the
// pipe would wait, and reading the device would never end.
func TestPipesAndDevicesAreLeftOut(t *testing.T) {
	dir := folder(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.png"), 0o644); err != nil {
		t.Skip("no named pipe can be made here:", err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.png")); err != nil {
		t.Fatal(err)
	}
	captions := filepath.Join(dir, "captions.json")
	text := `[{"image": "red.png", "caption": "a"}, {"image": "pipe.png", "caption": "b"}, {"image": "zero.png", "caption": "c"}]`
	if err := os.WriteFile(captions, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, broken, err := data.OpenFiles(data.Files{Captions: captions, Images: dir}, spec)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, b := range broken {
		reasons = append(reasons, b.Error())
	}
	for _, want := range []string{"pipe.png is a named pipe, want a file", "zero.png is a device or a socket, want a file"} {
		if !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, want) }) {
			t.Errorf("no %q in %q", want, reasons)
		}
	}
}
