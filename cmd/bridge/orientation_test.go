package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// blocks returns a picture of eight by eight blocks of colours, as a PNG, one way up or the other.
func blocks(t *testing.T, seed uint64, upsideDown bool) []byte {
	t.Helper()
	const side, block = 64, 8
	random := rand.New(rand.NewPCG(seed, 1))
	colours := make([]color.NRGBA, (side/block)*(side/block))
	for i := range colours {
		colours[i] = color.NRGBA{uint8(random.IntN(256)), uint8(random.IntN(256)), uint8(random.IntN(256)), 255}
	}
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		x, y := i%side, i/side
		if upsideDown {
			x, y = side-1-x, side-1-y
		}
		img.Set(x, y, colours[i/side/block*(side/block)+i%side/block])
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
	const seed = 14 // of a picture that has another caption upside down
	plain := blocks(t, seed, true)
	files := map[string][]byte{"upright.png": blocks(t, seed, false), "plain.png": plain, "exif.png": withExif(plain)}
	for name, file := range files {
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
	upright, turned := caption("kit:stage2", "upright.png"), caption("kit:stage2", "plain.png")
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
