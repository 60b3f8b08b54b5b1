package t5

import (
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
)

// config holds the keys of a T5 model's config.json. Pointers distinguish a missing key
// from zero.
type config struct {
	VocabSize           int         `json:"vocab_size"`
	DModel              int         `json:"d_model"`
	DKV                 int         `json:"d_kv"`
	DFF                 int         `json:"d_ff"`
	NumHeads            int         `json:"num_heads"`
	NumLayers           int         `json:"num_layers"`
	NumDecoderLayers    int         `json:"num_decoder_layers"`
	NumBuckets          int         `json:"relative_attention_num_buckets"`
	MaxDistance         int         `json:"relative_attention_max_distance"`
	LayerNormEpsilon    float64     `json:"layer_norm_epsilon"`
	FeedForwardProj     string      `json:"feed_forward_proj"`
	DenseActFn          string      `json:"dense_act_fn"`
	ScaleDecoderOutputs *bool       `json:"scale_decoder_outputs"`
	TieWordEmbeddings   *bool       `json:"tie_word_embeddings"`
	DecoderStartTokenID *int32      `json:"decoder_start_token_id"`
	PadTokenID          int32       `json:"pad_token_id"`
	EOSTokenID          lm.TokenIDs `json:"eos_token_id"`

	tables tables
}

// readConfig decodes config.json over transformers' defaults.
func readConfig(folder *weights.Folder) (config, error) {
	c := config{
		VocabSize: 32128, DModel: 512, DKV: 64, DFF: 2048, NumLayers: 6, NumHeads: 8,
		NumBuckets: 32, MaxDistance: 128, LayerNormEpsilon: 1e-6, FeedForwardProj: "relu", EOSTokenID: lm.TokenIDs{1},
	}
	if err := folder.DecodeConfig(&c); err != nil {
		return c, err
	}
	if c.NumDecoderLayers == 0 {
		c.NumDecoderLayers = c.NumLayers
	}
	if c.DenseActFn == "" {
		c.DenseActFn = activationOf(c.FeedForwardProj)
	}
	c.tables = findTables(folder)
	return c, c.check(folder.Dir())
}

// activationOf reads "relu", "gated-gelu" or "gated-silu"; the gelu of T5 v1.1
// is the tanh approximation (transformers, configuration_t5.py).
func activationOf(proj string) string {
	if proj == "gated-gelu" {
		return "gelu_new"
	}
	return strings.TrimPrefix(proj, gatedPrefix)
}

// activate replaces the checkpoint's activation: LAVIS computes FlanT5 with the exact gelu
// (lavis/models/blip2_models/blip2_t5.py).
func (c *config) activate(name string) error {
	if name == "" {
		return nil
	}
	if !layers.KnownActivation(name) {
		return adapters.Errorf(adapters.Unsupported, "the requested activation is %q, want one of %s", name, strings.Join(layers.Activations(), ", ")).
			WithRemedy("correct activation in the model's manifest")
	}
	c.DenseActFn = name
	return nil
}

const gatedPrefix = "gated-"

func (c config) gated() bool { return strings.HasPrefix(c.FeedForwardProj, gatedPrefix) }

// scaled reports whether the decoder's output is scaled before the head. If the file does
// not say, it is scaled unless tie_word_embeddings is false (transformers,
// configuration_t5.py). The head itself is tied by the weights alone: see findTables.
func (c config) scaled() bool {
	if c.ScaleDecoderOutputs != nil {
		return *c.ScaleDecoderOutputs
	}
	return c.TieWordEmbeddings == nil || *c.TieWordEmbeddings
}

func (c config) start() int32 {
	if c.DecoderStartTokenID != nil {
		return *c.DecoderStartTokenID
	}
	return c.PadTokenID
}

// generationDefaults reads generation_config.json, and takes over its ends of an answer. The
// encoder's input ends with the same token, so the first of config.json's must be one of them.
func (c *config) generationDefaults(folder *weights.Folder) (lm.GenerationDefaults, error) {
	d, err := lm.ReadGenerationDefaults(folder)
	if err != nil {
		return d, err
	}
	path := folder.Path("generation_config.json")
	if d.Start != nil && *d.Start != c.start() {
		return d, adapters.Errorf(adapters.Unsupported, "%s: decoder_start_token_id is %d, and by config.json it is %d: want one for training and generation", path, *d.Start, c.start()).
			WithRemedy("make the two files agree")
	}
	ends := d.Ends(c.EOSTokenID)
	if ends[0] != c.EOSTokenID[0] {
		return d, adapters.Errorf(adapters.Unsupported, "%s: eos_token_id is %v, without config.json's %d, which ends the encoder's input", path, d.End, c.EOSTokenID[0]).
			WithRemedy("make the two files agree")
	}
	for _, id := range ends {
		if id < 0 || int(id) >= c.VocabSize {
			return d, adapters.Errorf(adapters.Corrupt, "%s: eos_token_id %d, want one below vocab_size %d", path, id, c.VocabSize)
		}
	}
	c.EOSTokenID = ends
	return d, nil
}

// check returns an error for a configuration that the graphs cannot compute.
func (c config) check(dir string) error {
	for _, size := range []struct {
		key   string
		value int
	}{
		{"vocab_size", c.VocabSize}, {"d_model", c.DModel}, {"d_kv", c.DKV}, {"d_ff", c.DFF}, {"num_heads", c.NumHeads},
		{"num_layers", c.NumLayers}, {"num_decoder_layers", c.NumDecoderLayers},
		{"relative_attention_num_buckets / 4", c.NumBuckets / 4}, {"eos_token_id (their number)", len(c.EOSTokenID)},
		{"relative_attention_max_distance - relative_attention_num_buckets / 2", c.MaxDistance - c.NumBuckets/2},
	} {
		if err := weights.CheckSize(size.key, size.value); err != nil {
			return adapters.Errorf(adapters.Corrupt, "%s/config.json: %w", dir, err)
		}
	}
	for _, id := range append(lm.TokenIDs{c.start()}, c.EOSTokenID...) {
		if id < 0 || int(id) >= c.VocabSize {
			return adapters.Errorf(adapters.Corrupt, "%s/config.json: token id %d, want one below vocab_size %d", dir, id, c.VocabSize)
		}
	}
	if !layers.KnownActivation(c.DenseActFn) {
		return adapters.Errorf(adapters.Unsupported, "%s/config.json: activation %q (dense_act_fn or feed_forward_proj %q), want one of %s",
			dir, c.DenseActFn, c.FeedForwardProj, strings.Join(layers.Activations(), ", "))
	}
	return nil
}

// tensorSpecs lists the tensors of the model.
func (c config) tensorSpecs() []weights.TensorSpec {
	w := c.tables.specs(c.VocabSize, c.DModel)
	add := func(name string, shape ...int) {
		w = append(w, weights.TensorSpec{Name: name + ".weight", Shape: shape})
	}
	linear := func(name string, out, in int) {
		w = append(w, weights.TensorSpec{Name: name + ".weight", Shape: []int{out, in}, Linear: true})
	}
	inner := c.NumHeads * c.DKV
	attention := func(layer, name string) {
		for _, in := range []string{"q", "k", "v"} {
			linear(layer+"."+name+"."+in, inner, c.DModel)
		}
		linear(layer+"."+name+".o", c.DModel, inner)
		add(layer+".layer_norm", c.DModel)
	}
	feedForward := func(layer string) {
		for _, in := range c.inputsOfFeedForward() {
			linear(layer+".DenseReluDense."+in, c.DFF, c.DModel)
		}
		linear(layer+".DenseReluDense.wo", c.DModel, c.DFF)
		add(layer+".layer_norm", c.DModel)
	}
	for i := range c.NumLayers {
		attention(fmt.Sprintf("encoder.block.%d.layer.0", i), "SelfAttention")
		feedForward(fmt.Sprintf("encoder.block.%d.layer.1", i))
	}
	for i := range c.NumDecoderLayers {
		attention(fmt.Sprintf("decoder.block.%d.layer.0", i), "SelfAttention")
		attention(fmt.Sprintf("decoder.block.%d.layer.1", i), "EncDecAttention")
		feedForward(fmt.Sprintf("decoder.block.%d.layer.2", i))
	}
	for _, stack := range []string{"encoder", "decoder"} {
		add(relativeBias(stack), c.NumBuckets, c.NumHeads)
		add(stack+".final_layer_norm", c.DModel)
	}
	return w
}

// relativeBias names the embedding that the first block of a stack shares with
// all others.
func relativeBias(stack string) string {
	return stack + ".block.0.layer.0.SelfAttention.relative_attention_bias"
}

// inputsOfFeedForward names the first linear maps of a feed-forward: the one
// that is activated, and the gate if there is one.
func (c config) inputsOfFeedForward() []string {
	if c.gated() {
		return []string{"wi_0", "wi_1"}
	}
	return []string{"wi"}
}

// unusedBias is the suffix of a tensor that the first release holds and no class uses.
const unusedBias = ".EncDecAttention.relative_attention_bias.weight"

// unused lists the tensors that the file may hold and the model does not read.
func (c config) unused() weights.UnusedList {
	return append(c.tables.unused(), weights.Unused{Name: "decoder.block.0.layer.1" + unusedBias,
		Reason: "cross-attention has no positions; the first release holds it, and no class of transformers reads it"})
}
