package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// Damaged files of every codec give an error or some pixels, and never a panic.
func TestDamagedFiles(t *testing.T) {
	table := readPixels(t)
	rounds := 1
	if testenv.Long() {
		rounds = 40
	}
	random := rand.New(rand.NewPCG(14, 1))
	for _, e := range table.Pictures {
		for range rounds {
			data := bytes.Clone(table.files[e.Name])
			for range 1 + random.IntN(4) {
				at := random.IntN(len(data))
				if random.IntN(3) > 0 { // mostly the head
					at = random.IntN(min(len(data), 200))
				}
				data[at] = uint8(random.IntN(256))
			}
			if random.IntN(4) == 0 {
				data = data[:random.IntN(len(data))]
			}
			decodeDamaged(t, e.Name, data)
		}
	}
}

func decodeDamaged(t *testing.T, name string, data []byte) {
	defer func() {
		if problem := recover(); problem != nil {
			t.Errorf("%s: %v\n%q", name, problem, data)
		}
	}()
	const pixels = 1 << 22 // a damaged size may be large
	if c, err := DecodeConfig(bytes.NewReader(data)); err == nil && c.Width*c.Height > pixels {
		return
	}
	img, err := Decode(bytes.NewReader(data), ByExif)
	if err == nil && len(img.Pix) != 3*img.Width*img.Height {
		t.Errorf("%s: %d by %d pixels in %d bytes", name, img.Width, img.Height, len(img.Pix))
	}
}

// PNGs whose pixel data do not fit are refused, though Pillow shows some of their pixels
// (docs/fidelity.md), and so are those that lack their end.
func TestDamagedPNGsAreRefused(t *testing.T) {
	chunk := func(kind string, data []byte) []byte {
		out := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
		out = append(append(out, kind...), data...)
		return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
	}
	file := func(colour byte, pixels []byte) []byte {
		var packed bytes.Buffer
		w := zlib.NewWriter(&packed)
		_, err := w.Write(pixels)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		out := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", []byte{0, 0, 0, 2, 0, 0, 0, 2, 8, colour, 0, 0, 0})...)
		return append(append(out, chunk("IDAT", packed.Bytes())...), chunk("IEND", nil)...)
	}
	whole := file(0, []byte("\x00ab\x00cd"))
	if _, err := Decode(bytes.NewReader(whole), ByExif); err != nil {
		t.Fatal(err)
	}
	checksum := bytes.Clone(whole)
	checksum[len(checksum)-13]++ // the last byte of IDAT's
	for name, data := range map[string][]byte{
		"too few pixels": file(0, []byte("\x00ab")), "too many pixels": file(0, []byte("\x00ab\x00cd\x00ef")), "no palette": file(3, []byte("\x00ab\x00cd")),
		"checksum": checksum, "no end": whole[:len(whole)-8],
	} {
		if _, err := Decode(bytes.NewReader(data), ByExif); adapters.KindOf(err) != adapters.Corrupt {
			t.Errorf("%s: got %v, want an error of kind corrupt", name, err)
		}
	}
}

// Files that downloads leave in the place of pictures have their own remedy.
func TestFilesInThePlaceOfPictures(t *testing.T) {
	for text, want := range map[string]string{
		"<!DOCTYPE html><html>": "download the picture again", "\n <html>": "download the picture again",
		"version https://git-lfs.github.com/spec/v1\noid sha256:1": "git lfs pull", "RIFF": "convert it to JPEG or PNG",
	} {
		if _, err := Decode(bytes.NewReader([]byte(text)), ByExif); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
