package objective

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
)

// PromptCaption is stage 2 for all language models: the model reads the soft prompts
// and the caption template ("a photo of") and must write the caption.
func PromptCaption() Objective {
	return Objective{
		Name:  "prompt-caption",
		Stage: 2,
		Draw:  CaptionOrQuestion,
		Example: QuestionOr(func(templates bridge.Templates, i int, sample data.Sample) adapters.Example {
			return templates.CaptionExample(i, sample.Caption)
		}),
		EvalExample: bridge.Templates.CaptionExample,
	}
}
