package vit

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/checkpoint"
)

// channels of a picture: red, green, blue.
const channels = 3

// How the host resizes, as adapters.ImageSpec names it.
const (
	squash = "squash"
	crop   = "shortest-edge-crop"
)

// preprocessor is what counts of preprocessor_config.json.
type preprocessor struct {
	Resample   int       `json:"resample"`
	CenterCrop bool      `json:"do_center_crop"`
	Normalize  bool      `json:"do_normalize"`
	Rescale    bool      `json:"do_rescale"`
	Factor     float64   `json:"rescale_factor"`
	Size       *extent   `json:"size"`
	CropSize   *extent   `json:"crop_size"`
	Mean       []float32 `json:"image_mean"`
	Std        []float32 `json:"image_std"`
}

// extent is a size: a number (of the shortest edge), or an object.
type extent struct {
	Height   int `json:"height"`
	Width    int `json:"width"`
	Shortest int `json:"shortest_edge"`
}

// UnmarshalJSON reads both spellings.
func (e *extent) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return json.Unmarshal(data, &e.Shortest)
	}
	type plain extent
	return json.Unmarshal(data, (*plain)(e))
}

// square reports whether e stands for side×side pixels.
func (e *extent) square(side int) bool {
	return e != nil && (e.Height == side && e.Width == side || e.Shortest == side && e.Height == 0 && e.Width == 0)
}

// filter names the filter of PIL's number, empty if the host lacks it.
func filter(number int) string {
	return map[int]string{0: "nearest", 2: "bilinear", 3: "bicubic"}[number]
}

// imageSpec reads how pictures are prepared. Where the folder does not say, it
// is as CLIPImageProcessor does it.
func imageSpec(f *checkpoint.Folder, c config) (adapters.ImageSpec, error) {
	p := preprocessor{
		Resample: 3, CenterCrop: true, Normalize: true, Rescale: true, Factor: 1.0 / 255,
		Mean: []float32{0.48145466, 0.4578275, 0.40821073}, // OPENAI_CLIP_MEAN and _STD
		Std:  []float32{0.26862954, 0.26130258, 0.27577711},
	}
	name := "preprocessor_config.json"
	found, err := f.DecodeFile(name, &p)
	if err == nil && !found { // newer processors stand in one file
		name = "processor_config.json"
		_, err = f.DecodeFile(name, &struct {
			Image *preprocessor `json:"image_processor"`
		}{&p})
	}
	if err != nil {
		return adapters.ImageSpec{}, err
	}
	spec, err := p.spec(c)
	if err != nil {
		return spec, adapters.Errorf(adapters.Unsupported, "%s: %w", f.Path(name), err)
	}
	return spec, nil
}

func (p preprocessor) spec(c config) (adapters.ImageSpec, error) {
	spec := adapters.ImageSpec{Width: c.Image, Height: c.Image, Resample: filter(p.Resample), Mode: squash}
	key, size := "size", p.Size
	if p.CenterCrop {
		spec.Mode = crop
		if p.CropSize != nil {
			key, size = "crop_size", p.CropSize
		}
	} else if size != nil && size.Shortest != 0 && size.Height == 0 {
		return spec, fmt.Errorf("pictures are resized by their shortest edge but not cropped, want one size for all")
	}
	if size != nil && !size.square(c.Image) {
		return spec, fmt.Errorf("%s is %+v but the model's image_size is %d: position tables are not resized, use the model's size", key, *size, c.Image)
	}
	if spec.Resample == "" {
		return spec, fmt.Errorf("resample is %d, want 0 (nearest), 2 (bilinear) or 3 (bicubic)", p.Resample)
	}
	if !p.Rescale || p.Factor < 1.0/256 || p.Factor > 1.0/254 {
		return spec, fmt.Errorf("pixels are scaled by %g (do_rescale %t), want 1/255", p.Factor, p.Rescale)
	}
	if !p.Normalize {
		spec.Std = [3]float32{1, 1, 1}
		return spec, nil
	}
	if len(p.Mean) != channels || len(p.Std) != channels {
		return spec, fmt.Errorf("image_mean %v and image_std %v, want %d numbers each", p.Mean, p.Std, channels)
	}
	spec.Mean, spec.Std = [3]float32(p.Mean), [3]float32(p.Std)
	for _, s := range spec.Std {
		if !(s > 0) {
			return spec, fmt.Errorf("image_std is %v, want positive numbers", p.Std)
		}
	}
	return spec, nil
}
