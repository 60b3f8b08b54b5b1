package jpegfile

import (
	"bytes"
	"image"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// Package imaging compares pixels with Pillow's; here are the files that are refused.

func TestRefusedFiles(t *testing.T) {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, image.NewGray(image.Rect(0, 0, 9, 5)), nil); err != nil {
		t.Fatal(err)
	}
	whole := file.String()
	if p, err := Decode([]byte(whole)); err != nil || p.Width != 9 || p.Height != 5 || p.Space != Grey || len(p.Planes) != 1 {
		t.Fatalf("the whole file: %+v, %v", p, err)
	}
	frame := func(marker, bits, components string) string {
		before, after, _ := strings.Cut(whole, "\xff\xc0\x00\x0b\x08")
		return before + "\xff" + marker + "\x00\x0b" + bits + after[:4] + components + after[5:]
	}
	for _, c := range []struct {
		file string
		kind adapters.Kind
		want string
	}{
		{frame("\xc3", "\x08", "\x01"), adapters.Unsupported, "a lossless JPEG"},
		{frame("\xc5", "\x08", "\x01"), adapters.Unsupported, "a hierarchical JPEG"},
		{frame("\xc1", "\x0c", "\x01"), adapters.Unsupported, "a JPEG of 12 bits, want 8"},
		{frame("\xc0", "\x08", "\x02"), adapters.Unknown, "the frame has a wrong length"},
		{"\xff\xd8\xff\xd9", adapters.Unknown, "no pixels"},
		{whole[:len(whole)-9], adapters.Unknown, "cut off"},
		{whole[:40], adapters.Unknown, "cut off"},
	} {
		_, err := Decode([]byte(c.file))
		if err == nil || adapters.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error of kind %v with %q", err, c.kind, c.want)
		}
		if _, err := ReadHeader([]byte(c.file)); c.kind == adapters.Unsupported && err == nil {
			t.Errorf("the header of %s is no error", c.want)
		}
	}
}
