// Package gemma2 owns the Gemma 2 family (arXiv 2408.00118) behind adapters.LanguageModel: its
// configuration, read from Hugging Face checkpoint folders; package
// adapters/internal/lm/gated has the network. It must not know where soft prompts come from,
// nor how tokens are chosen.
//
// Token embeddings are scaled by √D before soft prompts enter beside them; soft prompts are
// not scaled. They take positions as tokens do. An answer ends at the config's eos_token_id.
// A model that [Open] returns owns its weights until it is closed; requests and responses
// belong to the caller.
package gemma2

import (
	"context"
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/adapters/internal/lm/gated"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Family describes the family for a registry.
func Family() adapters.Family {
	return adapters.Family{
		Name: "gemma2", Kind: adapters.KindLanguage, OpenLanguage: Open, ModelTypes: []string{"gemma2"},
		Architecture: adapters.DecoderOnly, TensorName: gated.TensorName(),
	}
}

// Open loads a checkpoint folder: config.json, weights and tokenizer.json.
func Open(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
	return decoder.Open(ctx, req, Family(), read)
}

// config holds the keys of config.json beyond the shared ones. A null turns a cap off.
type config struct {
	gated.Config
	HiddenActivation   string   `json:"hidden_activation"` // hidden_act is not read even if a file has it
	AttentionBias      bool     `json:"attention_bias"`
	QueryPreAttnScalar float64  `json:"query_pre_attn_scalar"`
	SlidingWindow      *int     `json:"sliding_window"`
	LayerTypes         []string `json:"layer_types"`
	AttentionCap       *float64 `json:"attn_logit_softcapping"`
	FinalCap           *float64 `json:"final_logit_softcapping"`
	Bidirectional      bool     `json:"use_bidirectional_attention"`
}

// defaults returns those of Gemma2Config.
func defaults() config {
	c := config{
		Config: gated.Defaults(), HiddenActivation: "gelu_pytorch_tanh", QueryPreAttnScalar: 256,
		SlidingWindow: new(4096), AttentionCap: new(50.0), FinalCap: new(30.0),
	}
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers = 256000, 2304, 9216, 26
	c.NumAttentionHeads, c.NumKeyValueHeads, c.HeadDim, c.MaxPositionEmbeddings = 8, new(4), new(256), 8192
	c.TieWordEmbeddings, c.EOSTokenID = true, lm.TokenIDs{1}
	return c
}

func read(folder *weights.Folder) (decoder.Definition, error) {
	c := defaults()
	if err := folder.DecodeConfig(&c); err != nil {
		return decoder.Definition{}, err
	}
	if err := c.check(folder); err != nil {
		return decoder.Definition{}, err
	}
	windows, err := decoder.Windows(folder, c.layerTypes(), c.NumHiddenLayers, c.SlidingWindow)
	if err != nil {
		return decoder.Definition{}, err
	}
	c.HiddenAct = c.HiddenActivation
	return gated.Variant{
		Config: c.Config, QKVBias: c.AttentionBias, OutputBias: c.AttentionBias, NormPlus1: true, Sandwich: true,
		EmbedScale: math.Sqrt(float64(c.HiddenSize)), Scale: 1 / math.Sqrt(c.QueryPreAttnScalar),
		Cap: valueOf(c.AttentionCap), FinalCap: valueOf(c.FinalCap), Windows: windows,
	}.Read(folder)
}

// check returns an error for a configuration that the graphs cannot compute.
func (c config) check(folder *weights.Folder) error {
	switch {
	case c.Bidirectional:
		return decoder.Unsupported(folder, "use_bidirectional_attention is true, only causal attention is supported")
	case c.QueryPreAttnScalar <= 0:
		return decoder.Corrupt(folder, "query_pre_attn_scalar is %v, want a positive number", c.QueryPreAttnScalar)
	case c.AttentionCap != nil && *c.AttentionCap <= 0 || c.FinalCap != nil && *c.FinalCap <= 0:
		return decoder.Corrupt(folder, "attn_logit_softcapping is %v, final_logit_softcapping %v: want positive numbers or null",
			valueOf(c.AttentionCap), valueOf(c.FinalCap))
	}
	return nil
}

// layerTypes returns the type of each layer. By default every other layer, from the first
// on, has a sliding window.
func (c config) layerTypes() []string {
	if c.LayerTypes != nil {
		return c.LayerTypes
	}
	types := make([]string, max(0, c.NumHiddenLayers))
	for i := range types {
		types[i] = "sliding_attention"
		if i%2 == 1 {
			types[i] = "full_attention"
		}
	}
	return types
}

// valueOf returns 0, which means no cap, for null.
func valueOf(cap *float64) float64 {
	if cap == nil {
		return 0
	}
	return *cap
}
