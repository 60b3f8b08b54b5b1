package imaging

import (
	"bytes"
	"image"
	"image/jpeg"
)

// Thumbnail returns a JPEG of an image whose longer side is at most side pixels, for people to look
// at. Smaller images keep their size.
func Thumbnail(img *RGB, side int) ([]byte, error) {
	scale := min(1, float64(side)/float64(max(img.Width, img.Height)))
	w, h := max(1, int(float64(img.Width)*scale)), max(1, int(float64(img.Height)*scale))
	small, err := Resize(img, w, h, "bicubic")
	if err != nil {
		return nil, err
	}
	canvas := image.NewRGBA(image.Rect(0, 0, w, h)) // the encoder is fast with this type
	for i := range w * h {
		copy(canvas.Pix[4*i:], small.Pix[3*i:3*i+3])
		canvas.Pix[4*i+3] = 255
	}
	var file bytes.Buffer
	err = jpeg.Encode(&file, canvas, &jpeg.Options{Quality: 80})
	return file.Bytes(), err
}
