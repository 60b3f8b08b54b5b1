package data_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/imaging"
)

// writeTurned writes a JPEG that is light at the top and dark at the bottom, and whose Exif
// data says that it is upside down.
func writeTurned(t *testing.T, path string) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range img.Pix {
		img.Pix[i] = uint8(255 - 30*(i/8))
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, img, nil); err != nil {
		t.Fatal(err)
	}
	exif := "\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00"
	whole := append([]byte("\xff\xd8"+exif), file.Bytes()[2:]...)
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A data set turns its pictures as its orientation says, and the features of turned pictures
// have another key.
func TestOrientationOfFiles(t *testing.T) {
	dir := folder(t)
	writeTurned(t, filepath.Join(dir, "turned.jpg"))
	turned := data.Files{Images: dir, Captions: annotate(t, `[{"image": "turned.jpg", "caption": "x"}]`)}
	open := func(o imaging.Orientation) (first uint8, decoding string) {
		turned.Orientation = o
		d, _, err := data.OpenFiles(turned, spec)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := d.Image(0)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := (data.Reader{Spec: spec, Orientation: o}).Picture(filepath.Join(dir, "turned.jpg")); err != nil || !bytes.Equal(read.Data, picture.Data) {
			t.Errorf("%q: the reader reads another picture (%v)", o, err)
		}
		return picture.Data[0], d.(featurecache.Decoder).Decoding()
	}
	stored, storedKey := open(imaging.AsStored)
	upright, uprightKey := open(imaging.ByExif)
	byDefault, defaultKey := open("")
	if stored < 128 || upright > 128 || byDefault != upright {
		t.Errorf("the first pixel is %d as stored, %d upright, %d by default", stored, upright, byDefault)
	}
	if storedKey == uprightKey || defaultKey != uprightKey {
		t.Errorf("keys %q as stored, %q upright, %q by default", storedKey, uprightKey, defaultKey)
	}
	turned.Orientation = "left"
	if _, _, err := data.OpenFiles(turned, spec); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("another orientation: got %v", err)
	}
	if _, decoding := openPNG(t, dir); decoding != "" {
		t.Errorf("a PNG as it is stored has the key %q, want that of earlier versions, none", decoding)
	}
}

// openPNG opens a data set of one PNG, as it is stored.
func openPNG(t *testing.T, dir string) (data.Dataset, string) {
	t.Helper()
	d, _, err := data.OpenFiles(data.Files{Images: dir, Captions: annotate(t, `[{"image": "red.png", "caption": "x"}]`), Orientation: imaging.AsStored}, spec)
	if err != nil {
		t.Fatal(err)
	}
	return d, d.(featurecache.Decoder).Decoding()
}
