package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"io"
	"iter"

	"golang.org/x/image/webp"
)

func webpConfig(r io.Reader) (image.Config, error) { return webp.DecodeConfig(r) }

// decodeWebP reads a file's picture, or the first one of an animation.
func decodeWebP(data []byte) (*RGB, error) {
	if len(data) > 20 && string(data[12:16]) == "VP8X" && data[20]&2 != 0 {
		return decodeAnimation(data)
	}
	return decodeStill(data)
}

func decodeStill(data []byte) (*RGB, error) {
	img, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return webpRGB(img), nil
	case *image.NYCbCrA:
		return webpRGB(&img.YCbCr), nil
	}
	return ToRGB(img), nil
}

// decodeAnimation returns the first picture of an animation, on a black canvas.
func decodeAnimation(data []byte) (*RGB, error) {
	config, err := webpConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for id, frame := range riffChunks(data[12:]) {
		if id != "ANMF" || len(frame) < 16 {
			continue
		}
		img, err := decodeStill(stillWebP(frame))
		if err != nil {
			return nil, err
		}
		return onCanvas(img, 2*uint24(frame), 2*uint24(frame[3:]), config.Width, config.Height)
	}
	return nil, errors.New("the animation holds no picture")
}

// stillWebP makes a file of a frame of an animation.
func stillWebP(frame []byte) []byte {
	var chunks bytes.Buffer
	add := func(id string, data []byte) {
		chunks.WriteString(id)
		chunks.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
		chunks.Write(data)
		chunks.Write(make([]byte, len(data)&1))
	}
	for id, data := range riffChunks(frame[16:]) {
		if id == "ALPH" {
			add("VP8X", append([]byte{0x10, 0, 0, 0}, frame[6:12]...)) // with alpha, and the frame's size
		}
		if id == "ALPH" || id == "VP8 " || id == "VP8L" {
			add(id, data)
		}
	}
	head := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+chunks.Len()))
	return append(append(head, "WEBP"...), chunks.Bytes()...)
}

// onCanvas puts an image at a place of a black canvas.
func onCanvas(img *RGB, left, top, w, h int) (*RGB, error) {
	if left+img.Width > w || top+img.Height > h {
		return nil, errors.New("the frame lies outside the canvas")
	}
	out := newRGB(w, h)
	for y := range img.Height {
		copy(out.Pix[3*((top+y)*w+left):], img.Pix[3*y*img.Width:][:3*img.Width])
	}
	return out, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// riffChunks iterates over the chunks of a RIFF file behind its head. It ends at a chunk
// that is cut off.
func riffChunks(data []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(data) >= 8 {
			size := uint64(binary.LittleEndian.Uint32(data[4:]))
			if size > uint64(len(data)-8) || !yield(string(data[:4]), data[8:8+size]) {
				return
			}
			data = data[min(uint64(len(data)), 8+size+size&1):]
		}
	}
}
