package bridge

import (
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Templates are the texts around captions and questions that a language model reads.
// Strings are used as given: nothing is stripped or inserted.
type Templates struct {
	Caption      string `json:"caption" toml:"caption"`             // "a photo of"
	Question     string `json:"question" toml:"question"`           // "Question: {} Answer:", {} is the question
	TargetPrefix string `json:"target_prefix" toml:"target_prefix"` // before a target: " " if tokens mark word starts by a space, "" if the tokenizer adds it
}

// CaptionExample returns an example for the caption of soft prompt i. target is empty
// for generation.
func (t Templates) CaptionExample(i int, target string) adapters.Example {
	return t.example(i, t.Caption, target)
}

// QuestionExample returns an example for a question about soft prompt i.
func (t Templates) QuestionExample(i int, question, answer string) adapters.Example {
	return t.example(i, strings.ReplaceAll(t.Question, "{}", question), answer)
}

// PrefixExample returns an example for the rest of a caption, after its prefix.
func (t Templates) PrefixExample(i int, prefix, rest string) adapters.Example {
	return t.example(i, prefix, rest)
}

// BareExample returns an example for the caption of soft prompt i, without a text before
// it: BLIP-2's pretraining with a decoder-only model.
func (t Templates) BareExample(i int, target string) adapters.Example {
	return adapters.Example{Segments: []adapters.Segment{adapters.PromptSegment(i)}, Target: target}
}

func (t Templates) example(i int, text, target string) adapters.Example {
	if target != "" {
		target = t.TargetPrefix + target
	}
	segments := []adapters.Segment{adapters.PromptSegment(i)}
	if text != "" {
		segments = append(segments, adapters.TextSegment(text))
	}
	return adapters.Example{Segments: segments, Target: target}
}

// WithoutPicture returns e without its soft prompts, to measure what the language model
// answers without seeing the picture.
func WithoutPicture(e adapters.Example) adapters.Example {
	var texts []adapters.Segment
	for _, s := range e.Segments {
		if !s.IsPrompt {
			texts = append(texts, s)
		}
	}
	if len(texts) == 0 {
		texts = []adapters.Segment{adapters.TextSegment("")}
	}
	return adapters.Example{Segments: texts, Target: e.Target}
}
