package imaging

import (
	"image"

	"github.com/modular-bridging/bridge/adapters"
)

// Process prepares img as an encoder's spec says: uint8[Height, Width, 3].
func Process(img image.Image, spec adapters.ImageSpec) ([]uint8, error) {
	rgb := ToRGB(img)
	switch spec.Mode {
	case adapters.Squash:
		out, err := Resize(rgb, spec.Width, spec.Height, spec.Resample)
		if err != nil {
			return nil, err
		}
		return out.Pix, nil
	case adapters.ShortestEdgeCrop:
		return shortestEdgeCrop(rgb, spec)
	}
	return nil, adapters.Errorf(adapters.Invalid, "image mode %q, want %q or %q", spec.Mode, adapters.Squash, adapters.ShortestEdgeCrop)
}

// shortestEdgeCrop follows get_resize_output_image_size and center_crop of
// transformers' image_transforms.py: the long edge is rounded down. It computes only the
// pixels that the crop keeps, so that a picture may be of any shape.
func shortestEdgeCrop(img *RGB, spec adapters.ImageSpec) ([]uint8, error) {
	edge := spec.ShortestEdge
	if edge == 0 {
		edge = max(spec.Width, spec.Height)
	}
	if spec.Width < 1 || spec.Height < 1 || edge < max(spec.Width, spec.Height) {
		return nil, adapters.Errorf(adapters.Invalid, "cut %d by %d pixels out of an image whose shortest edge is %d, want no more than there is", spec.Width, spec.Height, edge)
	}
	if img.Width < 1 || img.Height < 1 {
		return nil, adapters.Errorf(adapters.Invalid, "image of %d by %d pixels, want at least one", img.Width, img.Height)
	}
	w, h := edge, edge
	if img.Width <= img.Height {
		h = edge * img.Height / img.Width
	} else {
		w = edge * img.Width / img.Height
	}
	top, left := (h-spec.Height)/2, (w-spec.Width)/2
	out, err := resizePart(img, w, h, image.Rect(left, top, left+spec.Width, top+spec.Height), spec.Resample)
	if err != nil {
		return nil, err
	}
	return out.Pix, nil
}
