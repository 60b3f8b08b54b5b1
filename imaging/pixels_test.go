package imaging

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// pixelTable is what tools/reference/pixels.py wrote: pictures, and what Pillow makes of them.
type pixelTable struct {
	Pillow   string
	Pictures []pixelEntry
	files    map[string][]byte
}

// pixelEntry holds a picture's pixels as they are stored, and upright ones if they differ: a
// SHA-256, or none if the file of their name has them.
type pixelEntry struct {
	Name, Refused string
	Stored        string
	StoredSize    [2]int `json:"stored_size"`
	Upright       string
	UprightSize   [2]int `json:"upright_size"`
}

func readPixels(t testing.TB) pixelTable {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join("testdata", "pixels.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	table := pixelTable{files: map[string][]byte{}}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		table.files[f.Name] = data
	}
	if err := json.Unmarshal(table.files["table.json"], &table); err != nil {
		t.Fatal(err)
	}
	return table
}

// refusedPictures are pictures that Pillow opens and this package does not, with what the
// error must name.
var refusedPictures = map[string]string{}

// Pixels of every mode and codec are Pillow's, bit for bit.
func TestPixelsArePillows(t *testing.T) {
	table := readPixels(t)
	if len(table.Pictures) < 700 {
		t.Fatalf("the table has %d pictures", len(table.Pictures))
	}
	for _, e := range table.Pictures {
		data := table.files[e.Name]
		for _, o := range []Orientation{AsStored, ByExif} {
			got, err := Decode(bytes.NewReader(data), o)
			class, refused := refusedPictures[e.Name]
			switch {
			case e.Refused != "" || refused:
				if err == nil || !bytes.Contains([]byte(err.Error()), []byte(class)) {
					t.Errorf("%s: got %v, want an error with %q", e.Name, err, class)
				}
				if kind := adapters.KindOf(err); kind != adapters.Unsupported && kind != adapters.Corrupt {
					t.Errorf("%s: the error is %v", e.Name, kind)
				}
			case err != nil:
				t.Errorf("%s: %v", e.Name, err)
			default:
				table.compare(t, e, o, got)
			}
		}
	}
}

// compare checks pixels against the table.
func (table pixelTable) compare(t *testing.T, e pixelEntry, o Orientation, got *RGB) {
	t.Helper()
	hash, size, key := e.Stored, e.StoredSize, "stored"
	if o == ByExif && e.UprightSize != [2]int{} {
		hash, size, key = e.Upright, e.UprightSize, "upright"
	}
	if got.Width != size[0] || got.Height != size[1] {
		t.Errorf("%s, %s: %d by %d pixels, want %d by %d", e.Name, key, got.Width, got.Height, size[0], size[1])
		return
	}
	if hash != "" {
		if sum := sha256.Sum256(got.Pix); hex.EncodeToString(sum[:]) != hash {
			t.Errorf("%s, %s: pixels differ from Pillow's", e.Name, key)
		}
		return
	}
	want := picture{Width: size[0], Height: size[1], Pix: table.files[e.Name+"."+key]}
	if largest, mean := difference(t, got, want); largest > 0 {
		t.Errorf("%s, %s: pixels differ from Pillow's by up to %d, mean %.3f", e.Name, key, largest, mean)
	}
}
