package imaging

import (
	"bufio"
	"bytes"
	"errors"
	"image"
	"image/png"
	"io"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// maxPixels is the size from which Pillow refuses a file as a decompression bomb.
const maxPixels = 178_956_970

// Orientation says whether a picture is turned as its file says.
type Orientation string

const (
	// ByExif turns the picture as the file's Exif or XMP data says, as transformers'
	// load_image does. The empty Orientation means the same.
	ByExif Orientation = "exif"
	// AsStored leaves the picture as its pixels are stored, as LAVIS does. A TIFF is
	// turned nevertheless, because Pillow does that by itself.
	AsStored Orientation = "ignore"
)

// Check returns an error for an orientation that is not one of the above.
func (o Orientation) Check() error {
	if o != "" && o != ByExif && o != AsStored {
		return adapters.Errorf(adapters.Invalid, "orientation %q, want %q or %q", string(o), ByExif, AsStored)
	}
	return nil
}

// format is a kind of image file.
type format struct {
	name   string
	magic  string // '?' stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(data []byte) (*RGB, error)
	// metadata returns the file's Exif data, a TIFF structure, and its XMP text; nil if
	// the format has none.
	metadata func(data []byte) (exif, xmp []byte)
	cutOff   func(file io.ReaderAt, size int64) bool // nil if the end of a file has no mark
	revision string                                  // see [Revision]
}

func formats() []format {
	return []format{
		{"JPEG", "\xff\xd8\xff", jpegConfig, decodeJPEG, jpegMetadata, lacks("\xff\xd9"), "jpeg2"},
		{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, decodePNG, pngMetadata, lacks("IEND\xaeB`\x82"), ""},
		{"GIF", "GIF8?a", gifConfig, decodeGIF, nil, cutOffGIF, "gif2"},
		{"WebP", "RIFF????WEBPVP8", webpConfig, decodeWebP, webpMetadata, cutOffWebP, "webp2"},
		{"BMP", "BM", bmpConfig, decodeBMP, nil, nil, ""},
		{"TIFF", "II*\x00", tiffConfig, decodeTIFF, nil, nil, ""},
		{"TIFF", "MM\x00*", tiffConfig, decodeTIFF, nil, nil, ""},
	}
}

// Decode reads the first picture of a JPEG, PNG, GIF, WebP, BMP or TIFF file, whatever its
// name says, as Pillow's convert("RGB") gives it. Alpha is dropped, so that a transparent
// pixel shows the colour that its file gives it. What a lossy file stores as brightness and
// colour is converted as libjpeg-turbo and libwebp do it. docs/fidelity.md lists what
// differs from Pillow.
func Decode(r io.Reader, o Orientation) (*RGB, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, adapters.Errorf(adapters.Unknown, "read image: %w", err)
	}
	f, err := formatOf(data)
	if err != nil {
		return nil, err
	}
	img, err := f.read(data)
	if err != nil || o == AsStored || f.metadata == nil {
		return img, err
	}
	return img.turned(orientationOf(f.metadata(data))), nil
}

// DecodeConfig reads the size of an image file that [Decode] reads, from its head alone. It
// returns an error if Decode would refuse the file for what its head says.
func DecodeConfig(r io.Reader) (image.Config, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(16)
	if err != nil && !errors.Is(err, io.EOF) {
		return image.Config{}, adapters.Errorf(adapters.Unknown, "read image: %w", err)
	}
	f, err := formatOf(head)
	if err != nil {
		return image.Config{}, err
	}
	return f.size(in)
}

// IsPicture reports whether a file begins as a picture does that [Decode] may read. head is its
// first 16 bytes, or all if there are fewer. A BMP is not told: texts begin with its two letters, too.
func IsPicture(head []byte) bool {
	f, err := formatOf(head)
	return err == nil && f.name != "BMP"
}

// formatOf recognises a file by its first bytes.
func formatOf(data []byte) (format, error) {
	for _, f := range formats() {
		if f.matches(data) {
			return f, nil
		}
	}
	if len(data) == 0 {
		return format{}, adapters.Errorf(adapters.Corrupt, "image file is empty")
	}
	return format{}, adapters.Errorf(adapters.Unsupported, "image file of an unknown kind: it starts with %q, want JPEG, PNG, GIF, WebP, BMP or TIFF",
		data[:min(len(data), 12)]).WithRemedy("%s", remedyFor(data))
}

// remedyFor returns what to do about a file that is no picture of a known format. Downloads
// leave pages of HTML and pointers of Git LFS in the place of pictures.
func remedyFor(head []byte) string {
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("<")):
		return "it is HTML or XML: download the picture again"
	case bytes.HasPrefix(head, []byte("version https:")):
		return "it is a pointer of Git LFS: git lfs pull fetches the picture"
	}
	return "convert it to JPEG or PNG"
}

func (f format) matches(data []byte) bool {
	if len(data) < len(f.magic) {
		return false
	}
	for i := range len(f.magic) {
		if f.magic[i] != '?' && f.magic[i] != data[i] {
			return false
		}
	}
	return true
}

// size reads and checks the size of a file's picture.
func (f format) size(r io.Reader) (image.Config, error) {
	config, err := f.config(r)
	if err != nil {
		return config, f.failed(err)
	}
	if config.Width < 1 || config.Height < 1 {
		return config, adapters.Errorf(adapters.Corrupt, "%s image of %d by %d pixels, want at least one", f.name, config.Width, config.Height)
	}
	if config.Width > maxPixels/config.Height {
		return config, adapters.Errorf(adapters.Exhausted, "%s image of %d by %d pixels, want at most %d in all", f.name, config.Width, config.Height, maxPixels)
	}
	return config, nil
}

func (f format) read(data []byte) (*RGB, error) {
	if _, err := f.size(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	img, err := f.decode(data)
	if err != nil {
		return nil, f.failed(err)
	}
	return img, nil
}

// failed names the kind of file in an error of its decoder.
func (f format) failed(err error) error {
	if kind := adapters.KindOf(err); kind == adapters.Exhausted || kind == adapters.Unsupported {
		return adapters.Errorf(kind, "%s image: %w", f.name, err)
	}
	if strings.Contains(err.Error(), "unsupported") {
		return adapters.Errorf(adapters.Unsupported, "%s image: %w", f.name, err).WithRemedy("convert it to PNG")
	}
	return adapters.Errorf(adapters.Corrupt, "%s image: %w", f.name, err)
}

// Revisions returns the marks of [Revision] for all kinds of files.
func Revisions() []string {
	var marks []string
	for _, f := range formats() {
		if f.revision != "" {
			marks = append(marks, f.revision)
		}
	}
	return marks
}

func decodePNG(data []byte) (*RGB, error) {
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return ToRGB(img), nil
}

// Revision returns a mark for the key of anything that is computed from a file's pixels. It is
// empty if all versions of bridge decode files of this kind to the same pixels. An earlier
// version made a GIF's transparent pixels and the screen around its frame black, and rounded a
// JPEG's pixels otherwise, by up to 3, and a narrow WebP's.
func Revision(file io.ReaderAt) string {
	head := make([]byte, 16)
	n, _ := file.ReadAt(head, 0)
	if f, err := formatOf(head[:n]); err == nil {
		return f.revision
	}
	return ""
}
