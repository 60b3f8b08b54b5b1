package vit

import (
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/checkpoint"
	"github.com/modular-bridging/bridge/internal/layers"
)

// config is what the graph needs of config.json's vision part.
type config struct {
	Width      int     `json:"hidden_size"`
	Inner      int     `json:"intermediate_size"`
	Blocks     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"`
	Channels   int     `json:"num_channels"`
	Image      int     `json:"image_size"`
	Patch      int     `json:"patch_size"`
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
}

// defaults are CLIPVisionConfig's: transformers leaves out keys that have them.
func defaults() config {
	return config{
		Width: 768, Inner: 3072, Blocks: 12, Heads: 12, Channels: 3, Image: 224, Patch: 32,
		Activation: "quick_gelu", Epsilon: 1e-5,
	}
}

// The values of model_type that the family reads.
const (
	visionOnly = "clip_vision_model"
	wholeCLIP  = "clip" // with a text side, which is left out
)

func readConfig(f *checkpoint.Folder) (config, error) {
	c := defaults()
	var err error
	switch f.ModelType() {
	case visionOnly:
		err = f.DecodeConfig(&c)
	case wholeCLIP:
		whole := struct {
			Vision *config `json:"vision_config"`
		}{&c}
		err = f.DecodeConfig(&whole)
	default:
		return c, adapters.Errorf(adapters.Unsupported, "%s: model_type is %q, family vit reads %q and %q",
			f.Path("config.json"), f.ModelType(), visionOnly, wholeCLIP)
	}
	if err != nil {
		return c, err
	}
	if err := c.check(); err != nil {
		return c, adapters.Errorf(adapters.Unsupported, "%s: %w", f.Path("config.json"), err)
	}
	return c, nil
}

// check refuses what the graph cannot build.
func (c config) check() error {
	for _, n := range []struct {
		key   string
		value int
	}{
		{"hidden_size", c.Width}, {"intermediate_size", c.Inner}, {"num_hidden_layers", c.Blocks},
		{"num_attention_heads", c.Heads}, {"image_size", c.Image}, {"patch_size", c.Patch},
	} {
		if n.value <= 0 {
			return fmt.Errorf("%s is %d, want a positive number", n.key, n.value)
		}
	}
	switch {
	case c.Channels != channels:
		return fmt.Errorf("num_channels is %d, want %d", c.Channels, channels)
	case c.Width%c.Heads != 0:
		return fmt.Errorf("hidden_size %d is not a multiple of num_attention_heads %d", c.Width, c.Heads)
	case c.Image%c.Patch != 0:
		return fmt.Errorf("image_size %d is not a multiple of patch_size %d", c.Image, c.Patch)
	case c.Epsilon <= 0:
		return fmt.Errorf("layer_norm_eps is %g, want a positive number", c.Epsilon)
	case !layers.KnownActivation(c.Activation):
		return fmt.Errorf("hidden_act is %q, want one of %q", c.Activation, layers.Activations())
	}
	return nil
}

// tokens is N: the class token and the patches.
func (c config) tokens() int { return 1 + (c.Image/c.Patch)*(c.Image/c.Patch) }

// blocksFor returns how many blocks lead to hidden state layer, as transformers
// indexes hidden_states: 0 is the embeddings, −1 the last block's output.
func (c config) blocksFor(layer int) (int, error) {
	n := layer
	if layer < 0 {
		n = c.Blocks + 1 + layer
	}
	if n < 0 || n > c.Blocks {
		return 0, adapters.Errorf(adapters.Invalid, "feature layer %d, but the model has hidden states %d to %d", layer, -c.Blocks-1, c.Blocks)
	}
	return n, nil
}
