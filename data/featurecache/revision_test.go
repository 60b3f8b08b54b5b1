package featurecache_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// Features that were cached before a change of decoding or resizing are of other pixels. If this
// test fails, raise revision in cache.go and put the new digest here.
func TestRevisionRisesWithThePixels(t *testing.T) {
	const want = "70a64d4a9160d80a72216a9dc5bc6602f1c4f20bf8bccc36c65f405185b38e41" // of revision 2
	sum := sha256.New()
	for _, name := range []string{"420.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "rgb.png", "grey.png", "palette.png", "rgba.png", "rgb.webp", "lossy.webp"} {
		for _, spec := range []adapters.ImageSpec{
			{Width: 24, Height: 24, Resample: adapters.Bicubic, Mode: adapters.Squash},
			{Width: 16, Height: 16, Resample: adapters.Bilinear, Mode: adapters.ShortestEdgeCrop},
		} {
			pictures, err := data.ReadPictures(spec, filepath.Join(testenv.Root(), "imaging", "testdata", "files", name))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(sum, "%s %s ", name, spec.Mode)
			sum.Write(pictures.Data)
		}
	}
	if got := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
		t.Errorf("the pixels of the test pictures have the digest %s, want %s", got, want)
	}
}
