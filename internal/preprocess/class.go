package preprocess

import (
	"sort"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// The classes of image processor.
const (
	CLIP   = "CLIPImageProcessor"
	BLIP   = "BlipImageProcessor"
	SigLIP = "SiglipImageProcessor"
	BiT    = "BitImageProcessor"
	ViT    = "ViTImageProcessor"
)

// Pillow's numbers of its filters.
const (
	nearest  = 0
	bilinear = 2
	bicubic  = 3
)

// classes returns the processors' defaults by class.
func classes() map[string]processor {
	clip := channels{0.48145466, 0.4578275, 0.40821073} // OPENAI_CLIP_MEAN and _STD
	clipStd := channels{0.26862954, 0.26130258, 0.27577711}
	half := channels{0.5, 0.5, 0.5} // IMAGENET_STANDARD_MEAN and _STD
	base := processor{Resize: true, Rescale: true, Factor: 1.0 / 255, Normalize: true, Resample: bicubic, Mean: clip, Std: clipStd}

	cropped := base
	cropped.CenterCrop = true
	cropped.Size, cropped.CropSize = extent{Shortest: 224}, extent{Height: 224, Width: 224}
	blip := base
	blip.Size, blip.squareInt = extent{Height: 384, Width: 384}, true
	siglip := base
	siglip.Size, siglip.Mean, siglip.Std = extent{Height: 224, Width: 224}, half, half
	vit := siglip
	vit.Resample, vit.squareInt = bilinear, true
	return map[string]processor{CLIP: cropped, BiT: cropped, BLIP: blip, SigLIP: siglip, ViT: vit}
}

// classOf returns the class named in a file, without suffixes of its variants, or fallback if the
// file names none.
func classOf(name, old, fallback string) (processor, error) {
	for _, n := range []string{name, old, fallback} {
		if n == "" {
			continue
		}
		plain := strings.TrimSuffix(strings.TrimSuffix(n, "Fast"), "Pil")
		plain = strings.Replace(plain, "FeatureExtractor", "ImageProcessor", 1)
		if p, ok := classes()[plain]; ok {
			return p, nil
		}
		err := adapters.Errorf(adapters.Unsupported, "image_processor_type is %q, want one of %s", n, strings.Join(names(), ", "))
		if plain == "Siglip2ImageProcessor" {
			return processor{}, err.WithRemedy("this is NaFlex, whose pictures keep their shape: use a SigLIP 2 checkpoint with a fixed resolution")
		}
		return processor{}, err
	}
	return processor{}, adapters.Errorf(adapters.Internal, "the caller named no image processor")
}

func names() []string {
	var list []string
	for name := range classes() {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
