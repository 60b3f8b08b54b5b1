package data

import (
	"errors"
	"image"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/kit"
)

// Reader reads pictures as an encoder needs them.
type Reader struct {
	Spec adapters.ImageSpec
	// Orientation says whether pictures are turned; empty means by their Exif data.
	Orientation imaging.Orientation
}

// Picture reads a picture as uint8[H, W, 3], RGB, at the encoder's size. name is a PNG,
// JPEG, GIF, WebP, BMP or TIFF file, or one of the kit's pictures ("kit:held-out/17").
func (r Reader) Picture(name string) (*adapters.Tensor, error) {
	inKit, ok := strings.CutPrefix(name, "kit:")
	if !ok {
		return r.file(name)
	}
	split, number, _ := strings.Cut(inKit, "/")
	if !slices.Contains(kit.Splits(), kit.Split(split)) {
		return nil, adapters.Errorf(adapters.NotFound, "no picture %q, want one of a split of the kit, such as kit:held-out/0; the splits are %s", name, kit.Splits())
	}
	d, err := OpenKit(kit.Split(split), 0, r.Spec)
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= d.Len() {
		return nil, adapters.Errorf(adapters.NotFound, "no picture %q, want kit:%s/0 to kit:%s/%d", name, split, split, d.Len()-1)
	}
	return d.Image(i)
}

// Pictures reads pictures and stacks them as uint8[B, H, W, 3].
func (r Reader) Pictures(names ...string) (*adapters.Tensor, error) {
	pictures := make([]*adapters.Tensor, len(names))
	for i, name := range names {
		var err error
		if pictures[i], err = r.Picture(name); err != nil {
			return nil, err
		}
	}
	return Stack(pictures)
}

// ReadPicture reads a picture as [Reader.Picture] does, turned by its Exif data.
func ReadPicture(name string, spec adapters.ImageSpec) (*adapters.Tensor, error) {
	return Reader{Spec: spec}.Picture(name)
}

// ReadPictures reads pictures as [Reader.Pictures] does, turned by their Exif data.
func ReadPictures(spec adapters.ImageSpec, names ...string) (*adapters.Tensor, error) {
	return Reader{Spec: spec}.Pictures(names...)
}

// Stack copies pictures uint8[H, W, 3] of one size into one tensor uint8[B, H, W, 3], which
// an encoder takes.
func Stack(pictures []*adapters.Tensor) (*adapters.Tensor, error) {
	if len(pictures) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "no pictures to stack, want at least one")
	}
	shape := pictures[0].Shape
	t := adapters.NewTensor(adapters.Uint8, append([]int{len(pictures)}, shape...)...)
	for i, picture := range pictures {
		if err := picture.Check("picture "+strconv.Itoa(i), shape, adapters.Uint8); err != nil {
			return nil, err
		}
		copy(t.Row(i).Data, picture.Data)
	}
	return t, nil
}

// file reads a picture file.
func (r Reader) file(path string) (*adapters.Tensor, error) {
	img, err := r.decode(path)
	if err != nil {
		return nil, err
	}
	return r.prepared(img, path)
}

// prepared resizes and crops a picture as the encoder needs it. An error names the picture.
func (r Reader) prepared(img image.Image, name string) (*adapters.Tensor, error) {
	picture, err := process(img, r.Spec)
	if err != nil {
		return nil, adapters.Errorf(adapters.KindOf(err), "picture %s: %w", printable.Name(name), err)
	}
	return picture, nil
}

// decode reads a picture file at its own size.
func (r Reader) decode(path string) (image.Image, error) {
	f, err := openPicture(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, err := imaging.Decode(f, r.Orientation)
	if err != nil {
		return nil, pictureError(path, err)
	}
	return img, nil
}

// openPicture opens a picture file. It refuses folders and devices, which the system would open.
// A named pipe is opened, because a shell's <(command) is one.
func openPicture(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil {
		switch mode := info.Mode(); {
		case mode.IsDir():
			return nil, notAFile(path, "a folder")
		case mode&(fs.ModeDevice|fs.ModeSocket) != 0:
			return nil, notAFile(path, "a device or a socket")
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "picture: %w", err)
	}
	return f, nil
}

// notAFile returns the error of a picture that is something else than a file.
func notAFile(path, what string) error {
	return adapters.Errorf(adapters.Invalid, "picture %s is %s, want a file", printable.Name(path), what).
		WithRemedy("name a picture file")
}

// pictureError names the file in an error of package imaging.
func pictureError(path string, err error) error {
	named := adapters.Errorf(adapters.KindOf(err), "picture %s: %w", printable.Name(path), err)
	var inner *adapters.Error
	if errors.As(err, &inner) && inner.Remedy != "" {
		return named
	}
	return named.WithRemedy("replace the file")
}

// decoding identifies how files of the given revisions become pixels. It is empty if they do
// so as in the versions of bridge that had no choice of orientation.
func (r Reader) decoding(revisions map[string]bool) string {
	parts := slices.Sorted(maps.Keys(revisions))
	if r.Orientation != imaging.AsStored {
		parts = append(parts, string(imaging.ByExif))
	}
	return strings.Trim(strings.Join(parts, " "), " ")
}

// process resizes and crops a picture as an encoder needs it.
func process(img image.Image, spec adapters.ImageSpec) (*adapters.Tensor, error) {
	pixels, err := imaging.Process(img, spec)
	if err != nil {
		return nil, err
	}
	return adapters.FromUint8(pixels, spec.Height, spec.Width, 3), nil
}
