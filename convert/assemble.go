package convert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
)

// Parts are the frozen sides of a bridge that is assembled.
type Parts struct {
	// Families are the adapter families, which describe the checkpoints of language
	// models.
	Families []adapters.Family
	// Vision is a folder with a Blip2VisionModel, alone or in a whole BLIP-2.
	Vision string
	// Image is the size of the pictures that the encoder was used with; zero: its own.
	Image adapters.Size
	// Language is the language model's folder; empty in stage 1.
	Language string
	// Activation, if not empty, replaces the language model's activation, as LAVIS does
	// ([LAVIS.Activation]).
	Activation string
	// Encoder, if not nil, is the encoder itself, instead of Vision.
	Encoder *Checkpoint
}

// Assemble joins a bridge with its frozen sides to a whole BLIP-2. The warnings say what
// transformers computes slightly differently.
func Assemble(ctx context.Context, b *bridge.Bridge, parts Parts) (c *Checkpoint, warnings []string, err error) {
	c = newCheckpoint()
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	own, err := b.BLIP2()
	if err != nil {
		return c, nil, err
	}
	c.Config, c.extra = own.Config, own
	if err := c.addVision(parts); err != nil {
		return c, nil, err
	}
	if eps := c.visionEps(); eps != b.Config().VisionEps {
		warnings = append(warnings, fmt.Sprintf("transformers computes the norm on features with the encoder's epsilon, %g; this bridge's is %g", eps, b.Config().VisionEps))
	}
	if c.resized(parts) {
		warnings = append(warnings, fmt.Sprintf("the bridge sees pictures of %d by %d pixels: give interpolate_pos_encoding=True to transformers' model", parts.Image.Width, parts.Image.Height))
	}
	for name, t := range own.Weights {
		if c.tensors[name], err = weights.ViewOf(t); err != nil {
			return c, nil, err
		}
	}
	if b.Stage() == qformer.Stage1 {
		return c, warnings, c.addRetrieval(own)
	}
	return c, warnings, c.addLanguage(ctx, b, parts)
}

// addVision adds the encoder without the norm on its features, which is the bridge's.
func (c *Checkpoint) addVision(parts Parts) error {
	if parts.Encoder != nil {
		c.Config["vision_config"] = parts.Encoder.Config
		for name, v := range parts.Encoder.tensors {
			c.tensors[weights.VisionPrefix+name] = v
		}
		c.Files["preprocessor_config.json"] = parts.Encoder.Files["preprocessor_config.json"]
		return nil
	}
	f, err := weights.OpenPart(parts.Vision, adapters.KindVision)
	if err != nil {
		return err
	}
	c.closer = append(c.closer, f.Close)
	if f.ModelType() != weights.TypeBLIP2Vision {
		return adapters.Errorf(adapters.Unsupported, "the vision encoder %s is of model_type %q, and transformers' BLIP-2 has no other than its own (%q, EVA-CLIP)",
			parts.Vision, f.ModelType(), weights.TypeBLIP2Vision).
			WithRemedy("keep the run as it is: every command of bridge takes it as a MODEL")
	}
	config, err := object(f)
	if err != nil {
		return err
	}
	config["model_type"] = weights.TypeBLIP2Vision
	c.Config["vision_config"] = config
	c.addTensors(f, weights.VisionPrefix, nil)
	return c.addProcessor(parts, number(config, 224, "image_size"))
}

// object decodes a folder's configuration.
func object(f *weights.Folder) (map[string]any, error) {
	out, err := decode(f.Config())
	if err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", f.Path("config.json"), err)
	}
	return out, nil
}

// decode keeps numbers as they are written, because transformers distinguishes 1.0 from 1.
func decode(data []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	out := map[string]any{}
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	return out, nil
}

// resized reports whether the encoder was run at another size than its own.
func (c *Checkpoint) resized(parts Parts) bool {
	config, _ := c.Config["vision_config"].(map[string]any)
	own := number(config, 224, "image_size")
	return parts.Image != (adapters.Size{}) && parts.Image != (adapters.Size{Width: own, Height: own})
}

func (c *Checkpoint) visionEps() float64 {
	config, _ := c.Config["vision_config"].(map[string]any)
	switch eps := config["layer_norm_eps"].(type) {
	case json.Number:
		if v, err := eps.Float64(); err == nil {
			return v
		}
	case float64:
		return eps
	}
	return 1e-6
}

// addProcessor adds the image processor of the encoder's folder, or BLIP-2's.
func (c *Checkpoint) addProcessor(parts Parts, size int) error {
	dir := parts.Vision
	if err := c.copyFiles(dir, processorFiles); err != nil {
		return err
	}
	var image map[string]any
	for _, name := range processorFiles {
		data, ok := c.Files[name]
		if !ok || image != nil {
			continue
		}
		found, err := decode(data)
		if err != nil {
			return adapters.Errorf(adapters.Corrupt, "%s: %w", filepath.Join(dir, name), err)
		}
		if image = found; name == "processor_config.json" {
			image, _ = found["image_processor"].(map[string]any)
		}
	}
	delete(c.Files, "processor_config.json") // it may speak of another tokenizer
	if image == nil {
		image = blipProcessor(size)
	}
	if _, ok := image["image_processor_type"]; !ok {
		image["image_processor_type"] = "BlipImageProcessor"
	}
	if c.resized(parts) {
		image["size"] = map[string]any{"height": parts.Image.Height, "width": parts.Image.Width}
	}
	return c.putJSON("preprocessor_config.json", image)
}

// blipProcessor returns the configuration of transformers' BlipImageProcessor.
func blipProcessor(size int) map[string]any {
	return map[string]any{
		"image_processor_type": "BlipImageProcessor", "do_convert_rgb": true, "do_resize": true, "resample": 3,
		"size": map[string]any{"height": size, "width": size}, "do_rescale": true, "rescale_factor": 1.0 / 255, "do_normalize": true,
		"image_mean": []float64{0.48145466, 0.4578275, 0.40821073}, "image_std": []float64{0.26862954, 0.26130258, 0.27577711},
	}
}

func (c *Checkpoint) putJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	c.Files[name] = append(data, '\n')
	return err
}

// addRetrieval finishes a Blip2ForImageTextRetrieval.
func (c *Checkpoint) addRetrieval(own *bridge.BLIP2) error {
	c.Config["text_config"] = defaultText() // unused, but required
	c.Config["image_token_index"] = nil
	c.Files["tokenizer.json"] = own.TokenizerJSON
	return errors.Join(
		c.putJSON("tokenizer_config.json", map[string]any{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]",
			"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "model_max_length": bridge.MaxTextTokens}),
		c.putJSON("processor_config.json", map[string]any{"processor_class": "Blip2Processor"}))
}

// addLanguage adds the language model, its tokenizer and the tokens that end an answer.
func (c *Checkpoint) addLanguage(ctx context.Context, b *bridge.Bridge, parts Parts) error {
	f, err := weights.OpenPart(parts.Language, adapters.KindLanguage)
	if err != nil {
		return err
	}
	c.closer = append(c.closer, f.Close)
	config, err := object(f)
	if err != nil {
		return err
	}
	config["model_type"] = f.ModelType()
	c.Config["text_config"] = config
	width := number(config, b.Config().LanguageWidth, "hidden_size", "d_model", "n_embd")
	if width != b.Config().LanguageWidth || number(config, width, "word_embed_proj_dim") != width {
		return adapters.Errorf(adapters.Unsupported, "the soft prompts of this bridge have width %d, and transformers' BLIP-2 makes them as wide as the language model %s is inside, %d",
			b.Config().LanguageWidth, parts.Language, width).
			WithRemedy("keep the run as it is: every command of bridge takes it as a MODEL")
	}
	family, _ := adapters.FamilyOf(parts.Families, f.ModelType())
	tok, err := openLanguageTokenizer(ctx, f, family.TokenizerFor(f.ModelType()))
	if err != nil {
		return err
	}
	defer tok.Close()
	c.addLanguageTensors(f, family, tok.image)
	if tok.image >= tok.vocabulary {
		config["vocab_size"] = tok.image + 1
	}
	if id, ok := tok.single(family.EndOfAnswer); ok {
		config["eos_token_id"] = id
	}
	if parts.Activation != "" && family.ActivationKey != "" {
		config[family.ActivationKey] = parts.Activation
	}
	c.Config["image_token_index"] = tok.image
	generation := map[string]any{}
	for _, key := range []string{"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"} {
		if v, ok := config[key]; ok && v != nil {
			generation[key] = v
		}
	}
	return errors.Join(c.addTokenizer(tok), c.putJSON(generationFile, generation),
		c.putJSON("processor_config.json", map[string]any{"processor_class": "Blip2Processor", "num_query_tokens": b.Config().Queries}))
}

// addLanguageTensors adds the language model's tensors under the names that transformers'
// class with a head gives them: it adds a missing prefix while loading a model, but not
// while loading one inside another. If the token of pictures has no embedding, it gets a
// copy of the last one. The copy is never read, and no greedy choice prefers it to the
// original.
func (c *Checkpoint) addLanguageTensors(f *weights.Folder, family adapters.Family, image int) {
	for _, name := range f.Names() {
		v, _ := f.Tensor(name)
		if family.TensorName != nil {
			name = family.TensorName(name)
		}
		if name == "" {
			continue
		}
		if isTokenTable(name) && v.Shape[0] <= image {
			v = appendRows(v, image+1)
		}
		c.tensors[weights.LanguagePrefix+name] = v
	}
}

// isTokenTable reports whether a tensor has a row for each token.
func isTokenTable(name string) bool {
	return slices.ContainsFunc([]string{"embed_tokens.weight", "shared.weight", "lm_head.weight", "wte.weight"}, func(s string) bool {
		return name == s || strings.HasSuffix(name, "."+s)
	})
}

// appendRows repeats the last row until there are n rows.
func appendRows(v weights.View, n int) weights.View {
	row := len(v.Data) / v.Shape[0]
	data := append(make([]byte, 0, n*row), v.Data...)
	for len(data) < n*row {
		data = append(data, v.Data[len(v.Data)-row:]...)
	}
	shape := slices.Clone(v.Shape)
	shape[0] = n
	return weights.View{DType: v.DType, Shape: shape, Data: data}
}
