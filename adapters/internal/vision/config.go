package vision

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
)

// channels of a picture: red, green, blue.
const channels = 3

// Config holds the keys of config.json that the families share. A family decodes over
// its class's defaults.
type Config struct {
	Width      int        `json:"hidden_size"`
	Inner      int        `json:"intermediate_size"`
	Blocks     int        `json:"num_hidden_layers"`
	Heads      int        `json:"num_attention_heads"`
	HeadDim    *int       `json:"head_dim"` // only in classes that read the key
	Channels   int        `json:"num_channels"`
	Image      SquareSide `json:"image_size"` // of the position table
	Patch      SquareSide `json:"patch_size"`
	Activation string     `json:"hidden_act"`
	Epsilon    float64    `json:"layer_norm_eps"`
}

// SquareSide is the side of a square in pixels. A file may give it as a pair.
type SquareSide int

// UnmarshalJSON reads both spellings; null leaves the default.
func (s *SquareSide) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	if !bytes.HasPrefix(data, []byte("[")) {
		return json.Unmarshal(data, (*int)(s))
	}
	var pair []int
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 || pair[0] != pair[1] {
		return adapters.Errorf(adapters.Unsupported, "image_size or patch_size is %v, want a square", pair)
	}
	*s = SquareSide(pair[0])
	return nil
}

// Check returns an error for a configuration that no family's graph can build.
func (c Config) Check() error {
	for _, n := range []struct {
		key   string
		value int
	}{
		{"hidden_size", c.Width}, {"intermediate_size", c.Inner}, {"num_hidden_layers", c.Blocks},
		{"num_attention_heads", c.Heads}, {"image_size", int(c.Image)}, {"patch_size", int(c.Patch)},
	} {
		if err := weights.CheckSize(n.key, n.value); err != nil {
			return err
		}
	}
	switch {
	case c.Channels != channels:
		return fmt.Errorf("num_channels is %d, want %d", c.Channels, channels)
	case c.Width%c.Heads != 0:
		return fmt.Errorf("hidden_size %d is not a multiple of num_attention_heads %d", c.Width, c.Heads)
	case c.HeadDim != nil && *c.HeadDim*c.Heads != c.Width:
		return fmt.Errorf("head_dim is %d, want hidden_size / num_attention_heads = %d", *c.HeadDim, c.Width/c.Heads)
	case c.Image < c.Patch:
		return fmt.Errorf("image_size %d is less than patch_size %d", c.Image, c.Patch)
	case !(c.Epsilon > 0):
		return fmt.Errorf("layer_norm_eps is %g, want a positive number", c.Epsilon)
	case !layers.KnownActivation(c.Activation):
		return fmt.Errorf("hidden_act is %q, want one of %q", c.Activation, layers.Activations())
	}
	return nil
}

// side returns the number of patches along a side of the position table. Pixels beyond
// the last whole patch are ignored (SigLIP's 384 pixels in patches of 14).
func (c Config) side() int { return int(c.Image / c.Patch) }

// grid returns the number of patches of pictures of a size.
func (c Config) grid(size adapters.Size) (rows, columns int) {
	return size.Height / int(c.Patch), size.Width / int(c.Patch)
}

// blocksFor returns how many blocks lead to hidden state layer, as transformers
// indexes hidden_states: 0 is the embeddings, −1 the last block's output.
func (c Config) blocksFor(layer int) (int, error) {
	n := layer
	if layer < 0 {
		n = c.Blocks + 1 + layer
	}
	if n < 0 || n > c.Blocks {
		return 0, adapters.Errorf(adapters.Invalid, "feature layer %d, but the model has hidden states %d to %d", layer, -c.Blocks-1, c.Blocks)
	}
	return n, nil
}
