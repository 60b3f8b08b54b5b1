package opt

import (
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
)

// config holds the keys of an OPT model's config.json. Pointers distinguish a missing key
// from false.
type config struct {
	VocabSize             int    `json:"vocab_size"`
	HiddenSize            int    `json:"hidden_size"`
	WordEmbedProjDim      int    `json:"word_embed_proj_dim"`
	FFNDim                int    `json:"ffn_dim"`
	NumHiddenLayers       int    `json:"num_hidden_layers"`
	NumAttentionHeads     int    `json:"num_attention_heads"`
	MaxPositionEmbeddings int    `json:"max_position_embeddings"`
	ActivationFunction    string `json:"activation_function"`
	DoLayerNormBefore     *bool  `json:"do_layer_norm_before"`
	RemoveFinalLayerNorm  bool   `json:"_remove_final_layer_norm"`
	EnableBias            *bool  `json:"enable_bias"`
	ElementwiseAffine     *bool  `json:"layer_norm_elementwise_affine"`
	TieWordEmbeddings     *bool  `json:"tie_word_embeddings"`
}

// readConfig decodes config.json over transformers' defaults.
func readConfig(folder *weights.Folder) (config, error) {
	c := config{
		VocabSize: 50272, HiddenSize: 768, FFNDim: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12, MaxPositionEmbeddings: 2048,
		ActivationFunction: "relu",
	}
	if err := folder.DecodeConfig(&c); err != nil {
		return c, err
	}
	if c.WordEmbedProjDim == 0 {
		c.WordEmbedProjDim = c.HiddenSize
	}
	return c, c.check(folder.Dir())
}

// check returns an error for a configuration that the graphs cannot compute.
func (c config) check(dir string) error {
	for _, size := range []struct {
		key   string
		value int
	}{
		{"vocab_size", c.VocabSize}, {"hidden_size", c.HiddenSize}, {"ffn_dim", c.FFNDim},
		{"num_hidden_layers", c.NumHiddenLayers}, {"num_attention_heads", c.NumAttentionHeads},
		{"max_position_embeddings", c.MaxPositionEmbeddings},
	} {
		if err := weights.CheckSize(size.key, size.value); err != nil {
			return adapters.Errorf(adapters.Corrupt, "%s/config.json: %w", dir, err)
		}
	}
	var problem string
	switch {
	case c.HiddenSize%c.NumAttentionHeads != 0:
		problem = fmt.Sprintf("hidden_size %d is not a multiple of num_attention_heads %d", c.HiddenSize, c.NumAttentionHeads)
	case !layers.KnownActivation(c.ActivationFunction):
		problem = fmt.Sprintf("activation_function %q, want one of %s", c.ActivationFunction, strings.Join(layers.Activations(), ", "))
	case !isTrue(c.EnableBias):
		problem = "enable_bias is false, only layers with biases are supported"
	case !isTrue(c.ElementwiseAffine):
		problem = "layer_norm_elementwise_affine is false, only norms with weights are supported"
	default:
		return nil
	}
	return adapters.Errorf(adapters.Unsupported, "%s/config.json: %s", dir, problem)
}

// isTrue reads a switch that is on unless the file turns it off.
func isTrue(b *bool) bool { return b == nil || *b }

func (c config) preNorm() bool   { return isTrue(c.DoLayerNormBefore) }
func (c config) finalNorm() bool { return c.preNorm() && !c.RemoveFinalLayerNorm }
func (c config) projected() bool { return c.WordEmbedProjDim != c.HiddenSize }

// The names of tensors outside the layers.
const (
	prefix      = "model." // not in the first checkpoints
	stack       = "decoder"
	embedTokens = stack + ".embed_tokens"
)

// tensorSpecs lists the tensors of the model.
func (b body) tensorSpecs() []weights.TensorSpec {
	spec := func(name string, shape ...int) weights.TensorSpec { return b.Spec(stack+"."+name, shape...) }
	w := append(b.Outer(b.VocabSize, b.WordEmbedProjDim),
		spec("embed_positions.weight", b.MaxPositionEmbeddings+positionOffset, b.HiddenSize))
	linear := func(name string, out, in int) weights.TensorSpec {
		s := spec(name+".weight", out, in)
		s.Linear = true
		return s
	}
	if b.projected() {
		w = append(w, linear("project_in", b.HiddenSize, b.WordEmbedProjDim),
			linear("project_out", b.WordEmbedProjDim, b.HiddenSize))
	}
	if b.finalNorm() {
		w = append(w, spec("final_layer_norm.weight", b.HiddenSize), spec("final_layer_norm.bias", b.HiddenSize))
	}
	for i := range b.NumHiddenLayers {
		for _, m := range []struct {
			name    string
			out, in int
		}{
			{"self_attn.q_proj", b.HiddenSize, b.HiddenSize}, {"self_attn.k_proj", b.HiddenSize, b.HiddenSize},
			{"self_attn.v_proj", b.HiddenSize, b.HiddenSize}, {"self_attn.out_proj", b.HiddenSize, b.HiddenSize},
			{"fc1", b.FFNDim, b.HiddenSize}, {"fc2", b.HiddenSize, b.FFNDim},
		} {
			at := fmt.Sprintf("layers.%d.%s", i, m.name)
			w = append(w, linear(at, m.out, m.in), spec(at+".bias", m.out))
		}
		for _, norm := range []string{"self_attn_layer_norm", "final_layer_norm"} {
			at := fmt.Sprintf("layers.%d.%s", i, norm)
			w = append(w, spec(at+".weight", b.HiddenSize), spec(at+".bias", b.HiddenSize))
		}
	}
	return w
}
