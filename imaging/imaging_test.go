package imaging

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// The fixtures of testdata are written by tools/imaging/golden.py.

type picture struct {
	Name, Filter  string
	Width, Height int
	Size, Edge    int // of a crop, and of the shortest edge before
	Pix           []byte
	Source        *picture
}

func (p picture) rgb() *RGB { return &RGB{Pix: p.Pix, Width: p.Width, Height: p.Height} }

type golden struct {
	Source                  picture
	Decoded, Resized, Crops []picture
}

func readGolden(t testing.TB) golden {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "golden.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zr, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.NewDecoder(zr).Decode(&g); err != nil {
		t.Fatal(err)
	}
	return g
}

// difference returns the largest and the mean absolute difference.
func difference(t testing.TB, got *RGB, want picture) (largest int, mean float64) {
	t.Helper()
	if got.Width != want.Width || got.Height != want.Height || len(got.Pix) != len(want.Pix) {
		t.Fatalf("got %d by %d pixels, want %d by %d", got.Width, got.Height, want.Width, want.Height)
	}
	sum := 0
	for i, p := range got.Pix {
		d := max(int(p)-int(want.Pix[i]), int(want.Pix[i])-int(p))
		largest = max(largest, d)
		sum += d
	}
	return largest, float64(sum) / float64(len(got.Pix))
}

func TestResize(t *testing.T) {
	g := readGolden(t)
	if len(g.Resized) != 30 {
		t.Fatalf("got %d cases, want 30", len(g.Resized))
	}
	for _, want := range g.Resized {
		t.Run(fmt.Sprintf("%s/%dx%d", want.Filter, want.Width, want.Height), func(t *testing.T) {
			before := bytes.Clone(g.Source.Pix)
			got, err := Resize(g.Source.rgb(), want.Width, want.Height, want.Filter)
			if err != nil {
				t.Fatal(err)
			}
			if largest, mean := difference(t, got, want); largest != 0 {
				t.Errorf("differs from Pillow by up to %d, mean %.4f", largest, mean)
			}
			if !bytes.Equal(before, g.Source.Pix) {
				t.Error("the source was written to")
			}
		})
	}
}

func TestDecode(t *testing.T) {
	for _, want := range readGolden(t).Decoded {
		t.Run(want.Name, func(t *testing.T) {
			file, err := os.Open(filepath.Join("testdata", "files", want.Name))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			img, err := Decode(file, ByExif)
			if err != nil {
				t.Fatal(err)
			}
			if largest, mean := difference(t, img, want); largest > 0 {
				t.Errorf("differs from Pillow by up to %d, mean %.4f", largest, mean)
			}
		})
	}
}

func TestProcess(t *testing.T) {
	g := readGolden(t)
	for _, want := range g.Crops {
		spec := adapters.ImageSpec{Width: want.Size, Height: want.Size, Resample: adapters.Bicubic, Mode: adapters.ShortestEdgeCrop, ShortestEdge: want.Edge}
		got, err := Process(want.Source.rgb(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Pix) {
			t.Errorf("%d by %d cut to %d: pixels differ from Pillow's", want.Source.Width, want.Source.Height, want.Size)
		}
		if want.Edge != want.Size {
			continue
		}
		spec.ShortestEdge = 0
		if got, err := Process(want.Source.rgb(), spec); err != nil || !bytes.Equal(got, want.Pix) {
			t.Errorf("%d by %d cut to %d, no edge given: %v, or pixels differ", want.Source.Width, want.Source.Height, want.Size, err)
		}
	}
	got, err := Process(g.Source.rgb(), adapters.ImageSpec{Width: 24, Height: 24, Resample: adapters.Nearest, Mode: adapters.Squash})
	if err != nil {
		t.Fatal(err)
	}
	if want := g.Resized[0]; want.Filter != "nearest" || !bytes.Equal(got, want.Pix) {
		t.Error("squashed: pixels differ from Pillow's")
	}
}

func TestErrors(t *testing.T) {
	jpeg, err := os.ReadFile(filepath.Join("testdata", "files", "444.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		data string
		kind adapters.Kind
		want string
	}{
		{"", adapters.Corrupt, "empty"},
		{"%PDF-1.4 and more", adapters.Unsupported, `"%PDF-1.4 and"`},
		{string(jpeg[:len(jpeg)/2]), adapters.Corrupt, "JPEG image: "},
		{"\x89PNG\r\n\x1a\n", adapters.Corrupt, "PNG image: "},
		{"GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02", adapters.Exhausted, "GIF image of 65535 by 65535"},
		{"RIFF\x00\x00\x00\x00WEBPVP8 ", adapters.Corrupt, "WebP image: "},
		{"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02", adapters.Corrupt, "WebP image: "},
	} {
		_, err := Decode(strings.NewReader(test.data), ByExif)
		if adapters.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%.12q: got %v, want %v with %q", test.data, err, test.kind, test.want)
		}
	}
	img := &RGB{Pix: make([]uint8, 12), Width: 2, Height: 2}
	for _, spec := range []adapters.ImageSpec{
		{Width: 2, Height: 2, Resample: "lanczos", Mode: adapters.Squash},
		{Width: 2, Height: 2, Resample: adapters.Bicubic, Mode: "stretch"},
		{Width: 0, Height: 2, Resample: adapters.Bicubic, Mode: adapters.Squash},
		{Width: -1, Height: 2, Resample: adapters.Bicubic, Mode: adapters.ShortestEdgeCrop},
		{Width: 9, Height: 9, ShortestEdge: 8, Resample: adapters.Bicubic, Mode: adapters.ShortestEdgeCrop},
	} {
		if _, err := Process(img, spec); adapters.KindOf(err) != adapters.Invalid {
			t.Errorf("%+v: got %v, want an error", spec, err)
		}
	}
	if _, err := Process(image.NewNRGBA(image.Rect(0, 0, 0, 5)), adapters.ImageSpec{Width: 2, Height: 2, Resample: adapters.Bicubic, Mode: adapters.ShortestEdgeCrop}); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("image without pixels: got %v, want an error", err)
	}
}

func BenchmarkProcess(b *testing.B) {
	img := newRGB(640, 480)
	for b.Loop() {
		if _, err := Process(img, adapters.ImageSpec{Width: 224, Height: 224, Resample: adapters.Bicubic, Mode: adapters.Squash}); err != nil {
			b.Fatal(err)
		}
	}
}
