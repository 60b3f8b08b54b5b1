package imaging

import (
	"bufio"
	"bytes"
	"errors"
	"image"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/webp"

	"github.com/modular-bridging/bridge/adapters"
)

// maxPixels is the size from which Pillow refuses a file as a decompression bomb.
const maxPixels = 178_956_970

// format is a kind of image file.
type format struct {
	name   string
	magic  string // '?' stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	lossy  func(*image.YCbCr) *RGB // nil if the format has no such images
}

func formats() []format {
	return []format{
		{"JPEG", "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode, jpegRGB},
		{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, nil},
		{"GIF", "GIF8?a", gif.DecodeConfig, gif.Decode, nil},
		{"WebP", "RIFF????WEBPVP8", webp.DecodeConfig, webp.Decode, webpRGB},
	}
}

// Decode reads a JPEG, PNG, GIF (its first frame) or WebP file, whatever its
// name says. What a lossy file stores as brightness and colour comes back as an
// *[RGB], converted as libjpeg-turbo and libwebp do it: convert an
// [image.YCbCr] with package image/color instead and edges differ.
func Decode(r io.Reader) (image.Image, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, adapters.Errorf(adapters.Unknown, "read image: %w", err)
	}
	for _, f := range formats() {
		if f.matches(data) {
			if animatedWebP(data) {
				return nil, refuseAnimation()
			}
			return f.read(data)
		}
	}
	return nil, unknownFormat(data)
}

// DecodeConfig reads the size of an image file that [Decode] reads, from its
// head alone. It refuses the sizes that Decode refuses.
func DecodeConfig(r io.Reader) (image.Config, error) {
	head := bufio.NewReader(r)
	data, err := head.Peek(21)
	if err != nil && !errors.Is(err, io.EOF) {
		return image.Config{}, adapters.Errorf(adapters.Unknown, "read image: %w", err)
	}
	for _, f := range formats() {
		if f.matches(data) {
			if animatedWebP(data) {
				return image.Config{}, refuseAnimation()
			}
			config, err := f.config(head)
			if err != nil {
				return image.Config{}, f.failed(err)
			}
			return config, f.checkSize(config)
		}
	}
	return image.Config{}, unknownFormat(data)
}

func unknownFormat(data []byte) error {
	if len(data) == 0 {
		return adapters.Errorf(adapters.Corrupt, "image file is empty")
	}
	return adapters.Errorf(adapters.Unsupported, "image file of an unknown kind: it starts with %q, want JPEG, PNG, GIF or WebP", data[:min(len(data), 12)]).
		WithRemedy("convert it to JPEG or PNG")
}

// animatedWebP reports whether a file with this head holds several pictures: the extended
// form has a bit for it.
func animatedWebP(head []byte) bool {
	return len(head) > 20 && string(head[8:16]) == "WEBPVP8X" && head[20]&2 != 0
}

func refuseAnimation() error {
	return adapters.Errorf(adapters.Unsupported, "WebP image: it is animated, want one picture").WithRemedy("save its first picture as PNG")
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

func (f format) read(data []byte) (image.Image, error) {
	config, err := f.config(bytes.NewReader(data))
	if err != nil {
		return nil, f.failed(err)
	}
	if err := f.checkSize(config); err != nil {
		return nil, err
	}
	img, err := f.decode(bytes.NewReader(data))
	if err != nil {
		return nil, f.failed(err)
	}
	switch lossy := img.(type) {
	case *image.YCbCr:
		return f.lossy(lossy), nil
	case *image.NYCbCrA:
		return f.lossy(&lossy.YCbCr), nil
	}
	screen := image.Rect(0, 0, config.Width, config.Height)
	if img.Bounds() == screen {
		return img, nil
	}
	// A GIF's first frame may cover a part of the image.
	whole := image.NewNRGBA(screen)
	draw.Draw(whole, img.Bounds(), img, img.Bounds().Min, draw.Src)
	return whole, nil
}

// checkSize returns an error if [Decode] refuses a picture for its size.
func (f format) checkSize(config image.Config) error {
	if config.Width < 1 || config.Height < 1 {
		return adapters.Errorf(adapters.Corrupt, "%s image of %d by %d pixels, want at least one", f.name, config.Width, config.Height)
	}
	if config.Width > maxPixels/config.Height {
		return adapters.Errorf(adapters.Exhausted, "%s image of %d by %d pixels, want at most %d in all", f.name, config.Width, config.Height, maxPixels)
	}
	return nil
}

func (f format) failed(err error) error {
	if strings.Contains(err.Error(), "unsupported") {
		return adapters.Errorf(adapters.Unsupported, "%s image: %w", f.name, err).WithRemedy("convert it to PNG")
	}
	return adapters.Errorf(adapters.Corrupt, "%s image: %w", f.name, err)
}
