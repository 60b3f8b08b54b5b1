package objective

import (
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
)

// Sequence returns the examples of a sequence: one for each target, with everything before it
// as context. Picture k of the sequence is soft prompt first+k.
//
// A question is written by the template of questions. Texts that follow each other are
// separated by a space, as in BLIP-2's dialogues ("Question: … Answer: … Question: … Answer:").
// A target at the start of the sequence or after a picture is written as it is, one after a
// text with the templates' prefix. All objectives of stage 2 learn sequences in this way.
func Sequence(templates bridge.Templates, first int, turns []data.Turn) []adapters.Example {
	var examples []adapters.Example
	var context []adapters.Segment
	for _, turn := range turns {
		if turn.Picture >= 0 {
			context = append(context, adapters.PromptSegment(first+turn.Picture))
			continue
		}
		text := turn.Text
		if turn.Role == record.Question {
			text = strings.ReplaceAll(templates.Question, "{}", text)
		}
		if turn.Target {
			examples = append(examples, target(templates, context, text))
		}
		if followsText(context) {
			text = " " + text
		}
		context = append(context, adapters.TextSegment(text))
	}
	return examples
}

// target returns the example of a target after its context.
func target(templates bridge.Templates, context []adapters.Segment, text string) adapters.Example {
	if followsText(context) {
		text = templates.TargetPrefix + text
	}
	e := adapters.Example{Segments: append([]adapters.Segment(nil), context...), Target: text}
	if len(e.Segments) == 0 {
		e.Segments = []adapters.Segment{adapters.TextSegment("")}
	}
	return e
}

func followsText(context []adapters.Segment) bool {
	return len(context) > 0 && !context[len(context)-1].IsPrompt
}
