package bridge

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
)

// BLIP2 is the trained part of a whole BLIP-2 as transformers saves it.
type BLIP2 struct {
	// Config holds the keys of config.json that the bridge decides.
	Config map[string]any
	// Weights are the bridge's weights that transformers' class has, float32.
	Weights map[string]*adapters.Tensor
	// TokenizerJSON is the tokenizer.json of the text side; nil in stage 2.
	TokenizerJSON []byte

	extra        extraJSON
	extraWeights map[string]*adapters.Tensor
}

// The classes of transformers that a bridge can be, by stage.
const (
	classRetrieval  = "Blip2ForImageTextRetrieval"
	classGeneration = "Blip2ForConditionalGeneration"
)

// BLIP2 returns a copy of the bridge in the form of a whole BLIP-2.
func (b *Bridge) BLIP2() (*BLIP2, error) {
	if b.config.Words > 0 {
		return nil, adapters.Errorf(adapters.Unsupported, "the bridge's projection speaks in %d words, and no class of transformers has such a projection", b.config.Words).
			WithRemedy("retrain it with projection.kind = \"linear\", which fits a linear projection to what the words say")
	}
	out := &BLIP2{Config: b.blip2Config(), Weights: map[string]*adapters.Tensor{}, extraWeights: map[string]*adapters.Tensor{},
		extra: extraJSON{Format: formatVersion, VisionEps: b.config.VisionEps, InitTemp: b.config.InitTemp, Info: b.Info}}
	for _, p := range b.config.Parameters(b.Stage()) {
		t, err := b.weight(p.Name)
		if err != nil {
			return nil, err
		}
		if inHuggingFace(p) {
			out.Weights[p.Name] = t
		} else {
			out.extraWeights[p.Name] = t
		}
	}
	if b.tokenizer != nil {
		out.TokenizerJSON = b.tokenizer.json
	}
	return out, nil
}

func (b *Bridge) blip2Config() map[string]any {
	c, defaults := b.config, defaultBLIP2()
	q := map[string]any{
		"model_type": "blip_2_qformer", "hidden_size": c.HiddenSize, "num_hidden_layers": c.Layers, "num_attention_heads": c.Heads,
		"intermediate_size": c.Intermediate, "hidden_act": orDefault(c.Activation, "gelu"), "hidden_dropout_prob": c.Dropout,
		"attention_probs_dropout_prob": c.Dropout, "initializer_range": c.InitStd, "layer_norm_eps": c.LayerNormEps,
		"cross_attention_frequency": c.CrossEvery, "encoder_hidden_size": c.EncoderWidth, "use_qformer_text_input": false,
		"vocab_size": defaults.QFormer.Vocabulary, "max_position_embeddings": defaults.QFormer.MaxPositions,
	}
	whole := map[string]any{
		"model_type": weights.TypeBLIP2, "architectures": []string{classGeneration}, "num_query_tokens": c.Queries,
		"image_text_hidden_size": defaults.Projection, "qformer_config": q,
	}
	if b.Stage() == qformer.Stage1 {
		q["use_qformer_text_input"], q["vocab_size"], q["max_position_embeddings"] = true, c.Vocabulary, c.MaxPositions
		whole["architectures"], whole["image_text_hidden_size"] = []string{classRetrieval}, c.ProjectionDim
	}
	return whole
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// WriteExtra writes what transformers has no place for into files that transformers
// ignores, so that the bridge can be read back from the folder unchanged.
func (p *BLIP2) WriteExtra(dir string) error {
	data, err := json.MarshalIndent(p.extra, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", extraFile, err)
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, extraFile), append(data, '\n')); err != nil || len(p.extraWeights) == 0 {
		return err
	}
	return weights.Write(filepath.Join(dir, extraWeights), p.extraWeights, map[string]string{"format": "pt"})
}

// ExtraFiles returns the names of the files that [BLIP2.WriteExtra] writes.
func ExtraFiles() []string { return []string{extraFile, extraWeights} }

// FromWeights makes a bridge of weights under their Hugging Face names, float32 or
// bfloat16: all of the stage and no others. It takes over tok, the text side's tokenizer
// in stage 1.
func FromWeights(backend compute.Backend, config qformer.Config, weights map[string]*adapters.Tensor, tok *Tokenizer, info Info) (*Bridge, error) {
	if err := config.Validate(info.parameters()); err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "%w", err)
	}
	store := model.NewStore()
	if err := createParameters(store, "the checkpoint", weights, config.Parameters(info.parameters())); err != nil {
		store.Finalize()
		return nil, err
	}
	return newBridge(backend, config, store, tok, info), nil
}
