package preprocess

import (
	"bytes"
	"encoding/json"
	"math"

	"github.com/modular-bridging/bridge/adapters"
)

// processor is the content of a processor's file: the keys that change pictures.
type processor struct {
	Resize     bool     `json:"do_resize"`
	CenterCrop bool     `json:"do_center_crop"`
	Pad        bool     `json:"do_pad"`
	Rescale    bool     `json:"do_rescale"`
	Normalize  bool     `json:"do_normalize"`
	Resample   int      `json:"resample"`
	Factor     float64  `json:"rescale_factor"`
	Size       extent   `json:"size"`
	CropSize   extent   `json:"crop_size"`
	Mean       channels `json:"image_mean"`
	Std        channels `json:"image_std"`

	squareInt bool // a single number as size is the side of a square, not the shortest edge
}

// spec returns the processing of pictures, or an error if bridge does not support it.
func (p processor) spec() (adapters.ImageSpec, error) {
	spec := adapters.ImageSpec{Resample: map[int]string{nearest: adapters.Nearest, bilinear: adapters.Bilinear, bicubic: adapters.Bicubic}[p.Resample]}
	switch {
	case !p.Resize:
		return spec, unsupported("do_resize is false: pictures would keep their sizes, want one size for all")
	case p.Pad:
		return spec, unsupported("do_pad is true: pictures would be padded, want one size for all")
	case spec.Resample == "":
		return spec, unsupported("resample is %d, want 0 (nearest), 2 (bilinear) or 3 (bicubic)", p.Resample)
	}
	if err := p.shape(&spec); err != nil {
		return spec, err
	}
	return spec, p.scale(&spec)
}

// shape sets size and mode.
func (p processor) shape(spec *adapters.ImageSpec) error {
	size, cut := p.Size.resolved(p.squareInt), p.CropSize.resolved(true)
	switch {
	case size.Longest != 0 || size.Height < 0 || size.Width < 0 || size.Shortest < 0:
		return unsupported("size is %+v, want one size for all pictures", size)
	case size.Shortest == 0:
		spec.Mode, spec.Width, spec.Height = adapters.Squash, size.Width, size.Height
		if p.CenterCrop && cut != size {
			return unsupported("pictures are squashed to %d by %d pixels and then cut to %d by %d; want one size, or a resized shortest edge",
				size.Width, size.Height, cut.Width, cut.Height)
		}
	case !p.CenterCrop:
		return unsupported("pictures are resized by their shortest edge but not cropped, want one size for all")
	case size.Shortest < max(cut.Width, cut.Height):
		return unsupported("the shortest edge is resized to %d pixels, and then %d by %d pixels are cut out; want a crop that is not larger",
			size.Shortest, cut.Width, cut.Height)
	default:
		spec.Mode, spec.Width, spec.Height = adapters.ShortestEdgeCrop, cut.Width, cut.Height
		if size.Shortest != max(cut.Width, cut.Height) {
			spec.ShortestEdge = size.Shortest
		}
	}
	if spec.Width < 1 || spec.Height < 1 {
		return unsupported("pictures are resized to %d by %d pixels, want a height and a width", spec.Width, spec.Height)
	}
	return nil
}

// scale sets mean and standard deviation so that (pixel/255 − mean)/std is the processor's result.
// They absorb a factor other than 1/255.
func (p processor) scale(spec *adapters.ImageSpec) error {
	mean, std := p.Mean, p.Std
	if !p.Normalize {
		mean, std = channels{}, channels{1, 1, 1}
	}
	factor := 255.0
	if p.Rescale {
		factor *= p.Factor
	}
	if !(factor > 0) || math.IsInf(factor, 0) {
		return unsupported("rescale_factor is %g, want a positive number", p.Factor)
	}
	if math.Abs(factor-1) < 1e-6 {
		factor = 1
	}
	for i := range spec.Mean {
		if !(std[i] > 0) {
			return unsupported("image_std is %v, want positive numbers", std)
		}
		spec.Mean[i], spec.Std[i] = float32(mean[i]/factor), float32(std[i]/factor)
	}
	return nil
}

func unsupported(format string, args ...any) error {
	return adapters.Errorf(adapters.Unsupported, format, args...)
}

// extent is a size in a file: a number, a pair (height, width) or an object. A number is in Number
// until it is resolved.
type extent struct {
	Height   int
	Width    int
	Shortest int
	Longest  int // or another limit with which sizes differ
	Number   int
}

// UnmarshalJSON replaces the whole size; null leaves the default.
func (e *extent) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	switch {
	case bytes.Equal(data, []byte("null")):
		return nil
	case bytes.HasPrefix(data, []byte("{")):
		var object struct {
			Height    int `json:"height"`
			Width     int `json:"width"`
			Shortest  int `json:"shortest_edge"`
			Longest   int `json:"longest_edge"`
			MaxHeight int `json:"max_height"`
		}
		err := json.Unmarshal(data, &object)
		*e = extent{Height: object.Height, Width: object.Width, Shortest: object.Shortest, Longest: max(object.Longest, object.MaxHeight)}
		return err
	case bytes.HasPrefix(data, []byte("[")):
		var pair [2]int
		err := json.Unmarshal(data, &pair)
		*e = extent{Height: pair[0], Width: pair[1]}
		return err
	}
	*e = extent{}
	return json.Unmarshal(data, &e.Number)
}

// resolved replaces a number with the side of a square or with the shortest edge.
func (e extent) resolved(square bool) extent {
	switch {
	case e.Number == 0:
		return e
	case square:
		return extent{Height: e.Number, Width: e.Number}
	}
	return extent{Shortest: e.Number}
}

// channels has a number for each of red, green and blue.
type channels [3]float64

// UnmarshalJSON reads three numbers, or one number for all channels; null leaves the default.
func (c *channels) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var list []float64
	if !bytes.HasPrefix(data, []byte("[")) {
		list = make([]float64, 1)
		if err := json.Unmarshal(data, &list[0]); err != nil {
			return err
		}
		list = []float64{list[0], list[0], list[0]}
	} else if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) != len(c) {
		return adapters.Errorf(adapters.Unsupported, "image_mean or image_std is %v, want %d numbers", list, len(c))
	}
	*c = channels(list)
	return nil
}
