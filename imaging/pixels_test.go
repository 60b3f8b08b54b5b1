package imaging

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// pixelTable holds the pictures that tools/reference/pixels.py wrote, and Pillow's pixels of them.
type pixelTable struct {
	Pillow   string
	Pictures []struct {
		Name            string
		Refused         bool
		Stored, Upright pixelHash // Upright is zero if it does not differ
	}
	files map[string][]byte
}

// pixelHash is a picture's size, and the first 16 digits of the SHA-256 of its pixels.
type pixelHash struct {
	Width, Height int
	SHA256        string
}

func readPixels(t testing.TB) pixelTable {
	t.Helper()
	file, err := os.Open(cmp.Or(os.Getenv("BRIDGE_PIXELS"), filepath.Join("testdata", "pixels.tar.gz")))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inflated, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	table := pixelTable{files: map[string][]byte{}}
	archive := tar.NewReader(inflated)
	for {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if table.files[head.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(table.files["table.json"], &table); err != nil {
		t.Fatal(err)
	}
	return table
}

// refusedPictures are pictures that Pillow opens and this package refuses, by the beginning of
// their names, with what the error must name.
var refusedPictures = map[string]string{
	"tiff-group4": "a fax-coded TIFF",
	"tiff-jpeg":   "a JPEG-coded TIFF",
	"tiff-ycc":    "a TIFF of brightness and colour",
	"tiff-signed": "a TIFF of signed or floating-point numbers",
}

// refusal returns what the error for a picture must name.
func refusal(name string) (class string, refused bool) {
	for prefix, class := range refusedPictures {
		if strings.HasPrefix(name, prefix) {
			return class, true
		}
	}
	return "", false
}

// Pixels of every mode and codec are Pillow's, bit for bit. What Pillow opens and this package
// does not is refused by name.
func TestPixelsArePillows(t *testing.T) {
	table := readPixels(t)
	if len(table.Pictures) < 900 {
		t.Fatalf("the table has %d pictures", len(table.Pictures))
	}
	for _, e := range table.Pictures {
		data := table.files[e.Name]
		class, refused := refusal(e.Name)
		_, headErr := DecodeConfig(bytes.NewReader(data))
		for _, o := range []Orientation{AsStored, ByExif} {
			got, err := Decode(bytes.NewReader(data), o)
			if e.Refused || refused {
				kind := adapters.KindOf(err)
				if err == nil || !strings.Contains(err.Error(), class) || kind != adapters.Unsupported && kind != adapters.Corrupt {
					t.Errorf("%s: got %v, of kind %v, want an error with %q", e.Name, err, kind, class)
				}
				continue
			}
			if err != nil || headErr != nil {
				t.Errorf("%s: %v; its head: %v", e.Name, err, headErr)
				continue
			}
			want := e.Stored
			if o == ByExif && e.Upright.SHA256 != "" {
				want = e.Upright
			}
			sum := sha256.Sum256(got.Pix)
			if has := (pixelHash{got.Width, got.Height, hex.EncodeToString(sum[:8])}); has != want {
				t.Errorf("%s, orientation %s: got %v, want Pillow's %v", e.Name, o, has, want)
			}
		}
	}
}
