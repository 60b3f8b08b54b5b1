package qformer

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Config has the sizes of a Q-Former and of the models that it sits between.
type Config struct {
	HiddenSize    int `json:"hidden_size"` // D
	Layers        int `json:"num_hidden_layers"`
	Heads         int `json:"num_attention_heads"`               // H, divides HiddenSize
	Intermediate  int `json:"intermediate_size"`                 // width inside a feed-forward block
	Queries       int `json:"num_query_tokens"`                  // Q
	CrossEvery    int `json:"cross_attention_frequency"`         // layers 0, CrossEvery, 2·CrossEvery, … have cross-attention
	EncoderWidth  int `json:"encoder_hidden_size"`               // width of the vision encoder's features
	LanguageWidth int `json:"language_hidden_size,omitempty"`    // width of the language model's soft prompts; stage 2 only
	Vocabulary    int `json:"vocab_size,omitempty"`              // V, [DEC] included; stage 1 only
	MaxPositions  int `json:"max_position_embeddings,omitempty"` // longest text
	ProjectionDim int `json:"image_text_hidden_size,omitempty"`  // P, width of the contrastive projections

	// Words is W, the number of words that a stage-2 bridge speaks in ([Model.WordWeights]).
	// 0 means that its projection is linear, as in BLIP-2.
	Words int `json:"projection_words,omitempty"`
	// Residual adds a linear projection, which starts at zero, to one that speaks in words.
	Residual bool `json:"projection_residual,omitempty"`

	Activation string `json:"hidden_act,omitempty"` // of the feed-forward blocks, by the names of config.json; empty: exact GELU

	Dropout      float64 `json:"hidden_dropout_prob"`   // of embeddings, attention probabilities and block outputs
	LayerNormEps float64 `json:"layer_norm_eps"`        // of every norm except the one on the features
	VisionEps    float64 `json:"vision_layer_norm_eps"` // of the norm on the features (LAVIS: ln_vision)
	InitStd      float64 `json:"initializer_range"`     // of fresh linear and embedding weights and query tokens
	InitTemp     float64 `json:"initial_temperature"`   // of the contrastive temperature
}

// Base returns the Q-Former of the BLIP-2 paper: BERT-base with 32 queries
// between EVA-CLIP ViT-g/14 and OPT-2.7B.
func Base() Config {
	return Config{
		HiddenSize: 768, Layers: 12, Heads: 12, Intermediate: 3072, Queries: 32, CrossEvery: 2,
		EncoderWidth: 1408, LanguageWidth: 2560, Vocabulary: 30523, MaxPositions: 512, ProjectionDim: 256,
		Dropout: 0.1, LayerNormEps: 1e-12, VisionEps: 1e-5, InitStd: 0.02, InitTemp: 0.07,
	}
}

// Validate returns an error for every value that no Q-Former of the stage can have.
func (c Config) Validate(stage Stage) error {
	var errs []error
	atLeastOne := []struct {
		name  string
		value int
		on    bool
	}{
		{"hidden size", c.HiddenSize, true}, {"layers", c.Layers, true}, {"heads", c.Heads, true},
		{"intermediate", c.Intermediate, true}, {"queries", c.Queries, true}, {"cross every", c.CrossEvery, true},
		{"encoder width", c.EncoderWidth, true}, {"vocabulary", c.Vocabulary, stage == Stage1},
		{"max positions", c.MaxPositions, stage == Stage1}, {"projection dim", c.ProjectionDim, stage == Stage1},
		{"language width", c.LanguageWidth, stage == Stage2},
	}
	for _, f := range atLeastOne {
		if f.on && f.value < 1 {
			errs = append(errs, fmt.Errorf("q-former's %s is %d, want at least 1", f.name, f.value))
		}
	}
	if c.Heads > 0 && c.HiddenSize%c.Heads != 0 {
		errs = append(errs, fmt.Errorf("q-former's hidden size %d is not a multiple of its %d heads", c.HiddenSize, c.Heads))
	}
	if c.Words < 0 || c.Words == 1 {
		errs = append(errs, fmt.Errorf("the projection has %d words, want at least 2, or 0 for a linear projection", c.Words))
	}
	if c.Residual && c.Words == 0 {
		errs = append(errs, errors.New("the projection has a residual, but no words to add it to"))
	}
	if c.Activation != "" && !layers.KnownActivation(c.Activation) {
		errs = append(errs, fmt.Errorf("q-former's activation is %q, want one of %s", c.Activation, strings.Join(layers.Activations(), ", ")))
	}
	if c.Dropout < 0 || c.Dropout >= 1 {
		errs = append(errs, fmt.Errorf("q-former's dropout is %g, want at least 0 and below 1", c.Dropout))
	}
	if c.LayerNormEps <= 0 || c.VisionEps <= 0 {
		errs = append(errs, fmt.Errorf("q-former's norm epsilons are %g and %g, want above 0", c.LayerNormEps, c.VisionEps))
	}
	return errors.Join(errs...)
}

// activation returns the name of the feed-forward blocks' function.
func (c Config) activation() string { return cmp.Or(c.Activation, "gelu") }

// hasCross reports whether a layer has cross-attention.
func (c Config) hasCross(layer int) bool { return layer%c.CrossEvery == 0 }
