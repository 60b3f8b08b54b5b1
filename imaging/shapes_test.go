package imaging

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// patterned returns the picture of tools/reference/shapes.py.
func patterned(w, h int) *RGB {
	img := newRGB(w, h)
	for i := range img.Pix {
		x, y, c := i/3%w, i/3/w, i%3
		img.Pix[i] = uint8(x*37 + y*101 + c*53 + x*y%11*13)
	}
	return img
}

// Pictures of extreme shapes are resized and cropped as by transformers' CLIPImageProcessorPil,
// without making the whole resized picture.
func TestExtremeShapes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "shapes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var shapes []struct {
		Width, Height, Edge, Crop int
		SHA256                    string
	}
	if err := json.Unmarshal(text, &shapes); err != nil || len(shapes) < 20 {
		t.Fatalf("%d shapes, %v", len(shapes), err)
	}
	for _, s := range shapes {
		spec := adapters.ImageSpec{Width: s.Crop, Height: s.Crop, Resample: adapters.Bicubic, Mode: adapters.ShortestEdgeCrop, ShortestEdge: s.Edge}
		img := patterned(s.Width, s.Height)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := Process(img, spec)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%d by %d: %v", s.Width, s.Height, err)
			continue
		}
		if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != s.SHA256 {
			t.Errorf("%d by %d, edge %d: pixels differ from transformers'", s.Width, s.Height, s.Edge)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 32<<20 {
			t.Errorf("%d by %d: %d bytes are allocated", s.Width, s.Height, allocated)
		}
	}
}

// Every preparation takes every shape.
func TestEveryPreparationTakesEveryShape(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 40000}, {40000, 1}, {2, 300}, {3, 100000}} {
		for _, mode := range []string{adapters.Squash, adapters.ShortestEdgeCrop} {
			for _, filter := range []string{adapters.Nearest, adapters.Bilinear, adapters.Bicubic} {
				spec := adapters.ImageSpec{Width: 24, Height: 24, Resample: filter, Mode: mode}
				if got, err := Process(newRGB(size[0], size[1]), spec); err != nil || len(got) != 24*24*3 {
					t.Errorf("%d by %d, %s, %s: %d bytes, %v", size[0], size[1], mode, filter, len(got), err)
				}
			}
		}
	}
}
