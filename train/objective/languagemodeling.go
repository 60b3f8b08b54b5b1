package objective

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
)

// LanguageModeling is stage 2 for decoder-only models, as BLIP-2 pretrains: the model
// reads the soft prompts and must write the caption, with no text in between.
func LanguageModeling() Objective {
	return Objective{
		Name:          "lm",
		Stage:         2,
		Architectures: []adapters.Architecture{adapters.DecoderOnly},
		Draw:          CaptionOrQuestion,
		Example: QuestionOr(func(templates bridge.Templates, i int, sample data.Sample) adapters.Example {
			return templates.BareExample(i, sample.Caption)
		}),
		EvalExample: bridge.Templates.BareExample,
	}
}
