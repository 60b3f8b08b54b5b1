package preprocess

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func clipMean() (mean, std [3]float32) {
	return [3]float32{0.48145466, 0.4578275, 0.40821073}, [3]float32{0.26862954, 0.26130258, 0.27577711}
}

// spec returns a spec with CLIP's mean and standard deviation.
func spec(w, h int, filter, mode string, edge int) adapters.ImageSpec {
	s := adapters.ImageSpec{Width: w, Height: h, Resample: filter, Mode: mode, ShortestEdge: edge}
	s.Mean, s.Std = clipMean()
	return s
}

func half(s adapters.ImageSpec) adapters.ImageSpec {
	s.Mean, s.Std = [3]float32{0.5, 0.5, 0.5}, [3]float32{0.5, 0.5, 0.5}
	return s
}

func folder(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

const plainFile = "preprocessor_config.json"

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, class, file, text string
		want                    adapters.ImageSpec
	}{
		{"CLIP as OpenAI's repositories have it", CLIP, plainFile,
			`{"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true, "feature_extractor_type": "CLIPFeatureExtractor",
			  "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224}`,
			spec(224, 224, "bicubic", "shortest-edge-crop", 0)},
		{"CLIP as it is saved now", BLIP, plainFile,
			`{"image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}, "do_center_crop": true}`,
			spec(336, 336, "bicubic", "shortest-edge-crop", 0)},
		{"CLIP squashed", CLIP, plainFile,
			`{"size": {"height": 20, "width": 30}, "do_center_crop": false}`, spec(30, 20, "bicubic", "squash", 0)},
		{"CLIP squashed to what is then cut", CLIP, plainFile,
			`{"size": {"height": 20, "width": 20}, "crop_size": 20}`, spec(20, 20, "bicubic", "squash", 0)},
		{"the defaults of a class", CLIP, plainFile, `{}`, spec(224, 224, "bicubic", "shortest-edge-crop", 0)},
		{"null is the default", CLIP, plainFile, `{"size": null, "image_mean": null, "crop_size": null}`, spec(224, 224, "bicubic", "shortest-edge-crop", 0)},
		{"BLIP's size in one number", CLIP, plainFile,
			`{"image_processor_type": "BlipImageProcessorPil", "size": 364}`, spec(364, 364, "bicubic", "squash", 0)},
		{"SigLIP 2", SigLIP, plainFile,
			`{"image_processor_type": "SiglipImageProcessor", "size": {"height": 384, "width": 384}, "resample": 2, "do_convert_rgb": null}`,
			half(spec(384, 384, "bilinear", "squash", 0))},
		{"a pair and one mean for all", SigLIP, plainFile, `{"size": [32, 48], "image_mean": 0.5}`, half(spec(48, 32, "bicubic", "squash", 0))},
		{"ViT's", SigLIP, plainFile, `{"feature_extractor_type": "ViTFeatureExtractor", "size": 384}`, half(spec(384, 384, "bilinear", "squash", 0))},
		{"DINOv2", BiT, plainFile,
			`{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}`,
			spec(224, 224, "bicubic", "shortest-edge-crop", 256)},
		{"part of a processor's file", CLIP, "processor_config.json",
			`{"processor_class": "Blip2Processor", "image_processor": {"image_processor_type": "BlipImageProcessor", "size": {"height": 24, "width": 24}}}`,
			spec(24, 24, "bicubic", "squash", 0)},
		{"a processor's file that does not say", CLIP, "processor_config.json", `{"num_query_tokens": 32}`, spec(16, 16, "bicubic", "shortest-edge-crop", 0)},
		{"no file", CLIP, "other.json", `{}`, spec(16, 16, "bicubic", "shortest-edge-crop", 0)},
	} {
		fallback, err := Default(CLIP, 16)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(folder(t, c.file, c.text), c.class, fallback)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}

// If both files exist, the nested form takes precedence.
func TestNestedFormTakesPrecedence(t *testing.T) {
	dir := folder(t, plainFile, `{"size": {"height": 16, "width": 16}, "do_center_crop": false}`)
	nested := `{"image_processor": {"size": {"height": 32, "width": 32}, "do_center_crop": false}}`
	if err := os.WriteFile(filepath.Join(dir, "processor_config.json"), []byte(nested), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir, CLIP, adapters.ImageSpec{})
	if err != nil || got.Width != 32 {
		t.Errorf("got %+v, %v, want 32 pixels", got, err)
	}
}

// For every factor, the encoder's input is (pixel·factor − mean)/std.
func TestRescaleFactorIsFoldedIntoMeanAndStd(t *testing.T) {
	for _, c := range []struct {
		text              string
		factor, mean, std float64
	}{
		{`{"rescale_factor": 0.0078431372549, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}`, 0.0078431372549, 1, 1},
		{`{"do_rescale": false, "image_mean": [127, 127, 127], "image_std": [60, 60, 60]}`, 1, 127, 60},
		{`{"do_normalize": false}`, 1.0 / 255, 0, 1},
		{`{"do_normalize": false, "do_rescale": false}`, 1, 0, 1},
	} {
		got, err := Read(folder(t, plainFile, c.text), CLIP, adapters.ImageSpec{})
		if err != nil {
			t.Fatal(err)
		}
		for _, pixel := range []float64{0, 100, 255} {
			want := (pixel*c.factor - c.mean) / c.std
			value := (pixel/255 - float64(got.Mean[1])) / float64(got.Std[1])
			if d := value - want; d > 1e-4*max(1, want) || -d > 1e-4*max(1, want) {
				t.Errorf("%s: pixel %g becomes %g, want %g", c.text, pixel, value, want)
			}
		}
	}
}

func TestWithSizeKeepsOtherValues(t *testing.T) {
	dino := spec(224, 224, "bicubic", "shortest-edge-crop", 256)
	if got := WithSize(dino, adapters.Size{Width: 448, Height: 448}); got != spec(448, 448, "bicubic", "shortest-edge-crop", 512) {
		t.Errorf("DINOv2's at 448: %+v", got)
	}
	if got := WithSize(dino, adapters.Size{}); got != dino {
		t.Errorf("with size zero: %+v", got)
	}
	clip := spec(224, 224, "bicubic", "shortest-edge-crop", 0)
	if got := WithSize(clip, adapters.Size{Width: 336, Height: 336}); got != spec(336, 336, "bicubic", "shortest-edge-crop", 0) {
		t.Errorf("CLIP's at 336: %+v", got)
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		kind adapters.Kind
		part string
	}{
		{`{"image_processor_type": "Siglip2ImageProcessorFast"}`, adapters.Unsupported, "NaFlex"},
		{`{"image_processor_type": "ConvNextImageProcessor"}`, adapters.Unsupported, `image_processor_type is "ConvNextImageProcessor", want one of BitImageProcessor, BlipImageProcessor, CLIPImageProcessor`},
		{`{"do_center_crop": false}`, adapters.Unsupported, "shortest edge but not cropped"},
		{`{"do_resize": false}`, adapters.Unsupported, "do_resize is false"},
		{`{"do_pad": true}`, adapters.Unsupported, "do_pad is true"},
		{`{"resample": 1}`, adapters.Unsupported, "resample is 1"},
		{`{"crop_size": 256}`, adapters.Unsupported, "the shortest edge is resized to 224 pixels, and then 256 by 256"},
		{`{"size": {"height": 256, "width": 256}}`, adapters.Unsupported, "squashed to 256 by 256 pixels and then cut to 224 by 224"},
		{`{"size": {"shortest_edge": 224, "longest_edge": 448}}`, adapters.Unsupported, "want one size for all"},
		{`{"size": {"max_height": 224, "max_width": 448}}`, adapters.Unsupported, "want one size for all"},
		{`{"size": {}, "do_center_crop": false}`, adapters.Unsupported, "resized to 0 by 0 pixels"},
		{`{"image_mean": [0.5]}`, adapters.Unsupported, "want 3 numbers"},
		{`{"image_std": [1, 0, 1]}`, adapters.Unsupported, "want positive numbers"},
		{`{"rescale_factor": -1}`, adapters.Unsupported, "rescale_factor is -1"},
		{`{"resample": "bicubic"}`, adapters.Corrupt, `resample is "bicubic", want a whole number`},
		{`{"size": "large"}`, adapters.Corrupt, `size is "large", want a whole number`},
		{`{"size": `, adapters.Corrupt, "not valid JSON"},
	} {
		dir := folder(t, plainFile, c.text)
		_, err := Read(dir, CLIP, adapters.ImageSpec{})
		if adapters.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.part) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want kind %s with %q", c.text, err, c.kind, c.part)
		}
	}
}
