package registry

import (
	"strings"

	"github.com/modular-bridging/bridge/internal/weights"
)

// sizes returns the sizes of a config.json, or none if it lacks the numbers of layers or heads.
func (c hfConfig) sizes() Sizes {
	if c.VisionConfig != nil {
		c = *c.VisionConfig
	}
	width := firstPositive(c.HiddenSize, c.Embd)
	s := Sizes{
		Layers:      firstPositive(c.HiddenLayers, c.EncoderLayers, c.GPTLayers),
		FeedForward: firstPositive(c.Intermediate, c.FFN, c.DFF, c.Inner, c.MLPRatio*width, 4*width),
		Heads:       firstPositive(c.AttentionHeads, c.T5Heads, c.GPTHeads),
		Vocabulary:  c.Vocabulary,
	}
	if c.EncoderLayers > 0 {
		s.Layers = c.EncoderLayers + firstPositive(c.DecoderLayers, c.EncoderLayers)
	}
	if c.KVHeads > 0 || strings.HasPrefix(c.Projection, "gated") {
		s.FeedForward *= 2
	}
	if s.Layers == 0 || s.Heads == 0 {
		return Sizes{}
	}
	return s
}

// CountParameters returns the number of the model's parameters: the manifest's or, of a model that is
// on disk, what the headers of its weights say. It is 0 if neither is known.
func (b Backbone) CountParameters() int64 {
	if b.Parameters > 0 || b.Path == "" {
		return b.Parameters
	}
	f, err := weights.OpenPart(b.Path, b.Kind)
	if err != nil {
		return 0
	}
	defer f.Close()
	return f.Parameters()
}
