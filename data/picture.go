package data

import (
	"image"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/kit"
)

// ReadPicture reads a picture as uint8[H, W, 3], RGB, at an encoder's size. name is a
// PNG, JPEG, GIF or WebP file, or one of the kit's pictures ("kit:held-out/17").
func ReadPicture(name string, spec adapters.ImageSpec) (*adapters.Tensor, error) {
	inKit, ok := strings.CutPrefix(name, "kit:")
	if !ok {
		return readFile(name, spec)
	}
	split, number, _ := strings.Cut(inKit, "/")
	d, err := OpenKit(kit.Split(split), 0, spec)
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= d.Len() {
		return nil, adapters.Errorf(adapters.NotFound, "no picture %q, want kit:%s/0 to kit:%s/%d", name, split, split, d.Len()-1)
	}
	return d.Image(i)
}

// ReadPictures reads pictures as [ReadPicture] does, and stacks them as uint8[B, H, W, 3].
func ReadPictures(spec adapters.ImageSpec, names ...string) (*adapters.Tensor, error) {
	pictures := make([]*adapters.Tensor, len(names))
	for i, name := range names {
		var err error
		if pictures[i], err = ReadPicture(name, spec); err != nil {
			return nil, err
		}
	}
	return Stack(pictures)
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

// process resizes and crops a picture as an encoder needs it.
func process(img image.Image, spec adapters.ImageSpec) (*adapters.Tensor, error) {
	pixels, err := imaging.Process(img, spec)
	if err != nil {
		return nil, err
	}
	return adapters.FromUint8(pixels, spec.Height, spec.Width, 3), nil
}
