package imaging

import (
	"bytes"
	"image"
	"io"

	"golang.org/x/image/tiff"
)

// tiffConfig reads the whole file, because a TIFF's head may stand at its end.
func tiffConfig(r io.Reader) (image.Config, error) { return tiff.DecodeConfig(r) }

// decodeTIFF turns the picture in any case, because Pillow does it when it loads a TIFF.
func decodeTIFF(data []byte) (*RGB, error) {
	img, err := tiff.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return ToRGB(img).turned(orientationOf(data, nil)), nil
}
