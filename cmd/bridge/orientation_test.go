package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// upsideDown returns a PNG of a picture of the kit, turned by half a circle.
func upsideDown(t *testing.T, name string) []byte {
	t.Helper()
	const side = 64
	picture, err := data.ReadPicture(name, adapters.ImageSpec{Width: side, Height: side, Resample: adapters.Bicubic, Mode: adapters.Squash})
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		p := picture.Data[3*i:]
		img.Set(side-1-i%side, side-1-i/side, color.NRGBA{p[0], p[1], p[2], 255})
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// withExif adds Exif data to a PNG: the picture is upside down.
func withExif(file []byte) []byte {
	body := append([]byte("eXIf"), "MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00"...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
	const header = 8 + 25 // signature and IHDR
	return append(append(bytes.Clone(file[:header]), chunk...), file[header:]...)
}

// Pictures are turned as in the bridge's training, or as the flag says.
func TestOrientationFlag(t *testing.T) {
	testenv.Cache(t)
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	project, err := filepath.Abs(filepath.Join("..", "..", "runs", "testdata", "run-03ee870"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.CopyFS(".", os.DirFS(project)); err != nil {
		t.Fatal(err)
	}
	plain := upsideDown(t, "kit:held-out/17")
	for name, file := range map[string][]byte{"plain.png": plain, "exif.png": withExif(plain)} {
		if err := os.WriteFile(name, file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	caption := func(model, picture string, flags ...string) string {
		t.Helper()
		args := append([]string{"caption", model, picture, "--isolation", "none", "--backend", "go"}, flags...)
		stdout, _ := mustExit(t, exitDone, args...)
		_, text, _ := strings.Cut(stdout, "\t")
		return text
	}
	upright, turned := caption("kit:stage2", "kit:held-out/17"), caption("kit:stage2", "plain.png")
	if upright == turned {
		t.Fatalf("both ways up: %q", upright)
	}
	for flag, want := range map[string]string{"": upright, "exif": upright, "ignore": turned} {
		if got := caption("kit:stage2", "exif.png", "--orientation", flag); got != want {
			t.Errorf("--orientation %q: %q, want %q", flag, got, want)
		}
	}
	if old := filepath.Join("runs", "stage2"); caption(old, "exif.png") != caption(old, "plain.png") {
		t.Error("a run that recorded no orientation turns pictures")
	}
	_, stderr := mustExit(t, exitUsage, "ask", "kit:stage2", "exif.png", "what?", "--orientation", "left")
	if !strings.Contains(stderr, `orientation "left", want "exif" or "ignore"`) {
		t.Errorf("another orientation: %s", stderr)
	}
}
