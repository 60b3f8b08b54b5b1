package data

import (
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/kit"
)

// ReadPicture reads a picture as uint8[H, W, 3], RGB, at an encoder's size. name is a
// PNG, JPEG, GIF or WebP file, or one of the kit's pictures ("kit:held-out/17").
func ReadPicture(name string, spec adapters.ImageSpec) ([]uint8, error) {
	inKit, ok := strings.CutPrefix(name, "kit:")
	if !ok {
		return ReadImage(name, spec)
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

// Stack returns pictures of one size as uint8[B, H, W, 3], which an encoder takes.
func Stack(pictures [][]uint8, spec adapters.ImageSpec) *adapters.Tensor {
	t := adapters.NewTensor(adapters.Uint8, len(pictures), spec.Height, spec.Width, 3)
	for i, picture := range pictures {
		copy(t.Row(i).Data, picture)
	}
	return t
}

// ReadPictures reads pictures as [ReadPicture] does, and stacks them as uint8[B, H, W, 3].
func ReadPictures(spec adapters.ImageSpec, names ...string) (*adapters.Tensor, error) {
	pictures := make([][]uint8, len(names))
	for i, name := range names {
		var err error
		if pictures[i], err = ReadPicture(name, spec); err != nil {
			return nil, err
		}
	}
	return Stack(pictures, spec), nil
}
