package objective

import (
	"math/rand/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
)

// Mix says what a batch consists of.
type Mix struct {
	// Questions is the fraction of samples that are a question and its answer instead of
	// a caption. Stage 2 only.
	Questions float64
	// Similar is the fraction of a batch that is drawn to share a word with the rest of
	// the batch, so that ITM meets negatives that are hard to tell. Stage 1 only.
	Similar float64
}

// CaptionOrQuestion is a Draw function: it draws a question as often as mix says, or if
// the record has no caption, and a caption otherwise.
func CaptionOrQuestion(rng *rand.Rand, record data.Record, mix Mix) data.Sample {
	ask := rng.Float64() < mix.Questions
	if len(record.Questions) > 0 && (ask || len(record.Captions) == 0) {
		return data.Sample{Question: &record.Questions[rng.IntN(len(record.Questions))]}
	}
	return data.Sample{Caption: record.DrawCaption(rng)}
}

// QuestionOr returns an Example function: it returns the example of the sample's
// question, or calls caption if the sample has none.
func QuestionOr(caption func(templates bridge.Templates, i int, sample data.Sample) adapters.Example) func(bridge.Templates, int, data.Sample) adapters.Example {
	return func(templates bridge.Templates, i int, sample data.Sample) adapters.Example {
		if q := sample.Question; q != nil {
			return templates.QuestionExample(i, q.Question, q.Answer)
		}
		return caption(templates, i, sample)
	}
}
