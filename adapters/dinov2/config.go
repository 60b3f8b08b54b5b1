package dinov2

import (
	"fmt"

	"github.com/modular-bridging/bridge/adapters/internal/vision"
	"github.com/modular-bridging/bridge/internal/weights"
)

// The values of model_type that the family reads.
const (
	plain         = "dinov2"
	withRegisters = "dinov2_with_registers"
)

// config is Dinov2Config or Dinov2WithRegistersConfig.
type config struct {
	vision.Config
	Ratio     float64 `json:"mlp_ratio"`
	QKVBias   bool    `json:"qkv_bias"`
	SwiGLU    bool    `json:"use_swiglu_ffn"`
	Registers int     `json:"num_register_tokens"`

	antialias bool // of resized positions
	split     bool // SwiGLU's gate and value stand apart in the file
}

// defaults returns the defaults of the model type's class: transformers does not save keys
// that have the default.
func defaults(modelType string) config {
	c := config{Ratio: 4, QKVBias: true, Config: vision.Config{
		Width: 768, Blocks: 12, Heads: 12, Channels: 3, Image: 224, Patch: 14, Activation: "gelu", Epsilon: 1e-6,
	}}
	if modelType == withRegisters {
		c.Patch, c.Registers, c.antialias = 16, 4, true
	}
	return c
}

func readConfig(f *weights.Folder) (config, error) {
	c := defaults(f.ModelType())
	if f.ModelType() != plain && f.ModelType() != withRegisters {
		return c, vision.WrongType(f, "dinov2", plain, withRegisters)
	}
	if err := f.DecodeConfig(&c); err != nil {
		return c, err
	}
	if f.ModelType() == plain {
		c.Registers = 0
	}
	c.Inner = c.inner()
	if err := c.check(); err != nil {
		return c, vision.ConfigError(f, err)
	}
	return c, nil
}

// inner returns the width of the feed-forward: mlp_ratio times the model's, or for a SwiGLU
// two thirds of that, rounded up to a multiple of 8.
func (c config) inner() int {
	n := int(float64(c.Width) * c.Ratio)
	if !c.SwiGLU {
		return n
	}
	return (int(float64(2*n)/3) + 7) / 8 * 8
}

func (c config) check() error {
	switch {
	case !(c.Ratio > 0 && c.Ratio < 1000):
		return fmt.Errorf("mlp_ratio is %g, want a positive number", c.Ratio)
	case c.Registers < 0:
		return fmt.Errorf("num_register_tokens is %d, want a count", c.Registers)
	}
	return c.Check()
}
