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
	const want = "9047e88aeadaf81b5d18d704bc261ce7f1edc7c8730ed290a6804bfe94360c55" // of revision 2
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
