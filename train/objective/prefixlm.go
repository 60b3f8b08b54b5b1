package objective

import (
	"math/rand/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
)

// PrefixLM is stage 2 for encoder-decoder models, as LAVIS pretrains: the caption is
// split at a place drawn uniformly between its first word and its midpoint. The encoder
// reads the soft prompts and the first part; the decoder must write the rest.
func PrefixLM() Objective {
	return Objective{
		Name:          "prefix-lm",
		Stage:         2,
		Architectures: []adapters.Architecture{adapters.EncoderDecoder},
		Draw: func(rng *rand.Rand, record data.Record, mix Mix) data.Sample {
			sample := CaptionOrQuestion(rng, record, mix)
			if sample.Question == nil {
				sample.Prefix, sample.Caption = data.SplitPrefix(rng, sample.Caption)
			}
			return sample
		},
		Example: QuestionOr(func(templates bridge.Templates, i int, sample data.Sample) adapters.Example {
			return templates.PrefixExample(i, sample.Prefix, sample.Caption)
		}),
		EvalExample: bridge.Templates.CaptionExample,
	}
}
