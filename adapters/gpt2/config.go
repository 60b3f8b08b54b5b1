package gpt2

import (
	"fmt"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/weights"
)

// config holds the keys of a GPT-2 model's config.json. reorder_and_upcast_attn is not
// read: it changes rounding in float16 only, and scores are float32 here.
type config struct {
	VocabSize           int         `json:"vocab_size"`
	Positions           int         `json:"n_positions"`
	Width               int         `json:"n_embd"`
	Layers              int         `json:"n_layer"`
	Heads               int         `json:"n_head"`
	Inner               *int        `json:"n_inner"` // nil: four times the width
	ActivationFunction  string      `json:"activation_function"`
	LayerNormEpsilon    float64     `json:"layer_norm_epsilon"`
	ScaleAttnWeights    bool        `json:"scale_attn_weights"`
	ScaleByInverseLayer bool        `json:"scale_attn_by_inverse_layer_idx"`
	TieWordEmbeddings   bool        `json:"tie_word_embeddings"`
	EOSTokenID          lm.TokenIDs `json:"eos_token_id"`
}

// readConfig decodes config.json over GPT2Config's defaults.
func readConfig(folder *weights.Folder) (config, error) {
	c := config{
		VocabSize: 50257, Positions: 1024, Width: 768, Layers: 12, Heads: 12, ActivationFunction: "gelu_new",
		LayerNormEpsilon: 1e-5, ScaleAttnWeights: true, TieWordEmbeddings: true, EOSTokenID: lm.TokenIDs{50256},
	}
	if err := folder.DecodeConfig(&c); err != nil {
		return c, err
	}
	if err := c.readCommonNames(folder); err != nil {
		return c, err
	}
	if c.Inner == nil {
		c.Inner = new(4 * c.Width)
	}
	return c, c.check(folder)
}

// readCommonNames reads the names that sizes have in other families' files, which
// GPT2Config accepts too.
func (c *config) readCommonNames(folder *weights.Folder) error {
	var names struct {
		Positions *int `json:"max_position_embeddings"`
		Width     *int `json:"hidden_size"`
		Layers    *int `json:"num_hidden_layers"`
		Heads     *int `json:"num_attention_heads"`
	}
	if err := folder.DecodeConfig(&names); err != nil {
		return err
	}
	for name, into := range map[*int]*int{names.Positions: &c.Positions, names.Width: &c.Width, names.Layers: &c.Layers, names.Heads: &c.Heads} {
		if name != nil {
			*into = *name
		}
	}
	return nil
}

// check returns an error for a configuration that the graphs cannot compute.
func (c config) check(folder *weights.Folder) error {
	if err := decoder.CheckSizes(folder,
		decoder.Size{Key: "vocab_size", Value: c.VocabSize}, decoder.Size{Key: "n_positions", Value: c.Positions},
		decoder.Size{Key: "n_embd", Value: c.Width}, decoder.Size{Key: "n_layer", Value: c.Layers},
		decoder.Size{Key: "n_head", Value: c.Heads}, decoder.Size{Key: "n_inner", Value: *c.Inner},
	); err != nil {
		return err
	}
	if c.Width%c.Heads != 0 {
		return decoder.Unsupported(folder, "n_embd %d is not a multiple of n_head %d", c.Width, c.Heads)
	}
	return decoder.CheckActivation(folder, "activation_function", c.ActivationFunction)
}

// tensorSpecs lists the tensors of the model. Matrices are [in, out].
func (b body) tensorSpecs() []weights.TensorSpec {
	d := b.Width
	w := append(b.Outer(b.VocabSize, d), b.Spec("wpe.weight", b.Positions, d))
	linear := func(name string, in, out int) {
		w = append(w, b.Spec(name+".weight", in, out), b.Spec(name+".bias", out))
	}
	norm := func(name string) { w = append(w, b.Spec(name+".weight", d), b.Spec(name+".bias", d)) }
	for i := range b.Layers {
		layer := fmt.Sprintf("h.%d.", i)
		norm(layer + "ln_1")
		linear(layer+"attn.c_attn", d, 3*d)
		linear(layer+"attn.c_proj", d, d)
		norm(layer + "ln_2")
		linear(layer+"mlp.c_fc", d, *b.Inner)
		linear(layer+"mlp.c_proj", *b.Inner, d)
	}
	norm("ln_f")
	return w
}

// unused lists the tensors that the file may hold and the model does not read.
func (b body) unused() weights.UnusedList {
	const reason = "a causal mask, which is a constant; old files hold it"
	return b.Unused(weights.Unused{Name: "h.N" + maskSuffix, Reason: reason}, weights.Unused{Name: "h.N" + maskedValueSuffix, Reason: reason})
}

// The suffixes of the causal masks that old files contain.
const (
	maskSuffix        = ".attn.bias"
	maskedValueSuffix = ".attn.masked_bias"
)
