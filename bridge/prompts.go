package bridge

import (
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Prompts are the texts around captions and questions, as a language model
// wants them. Strings are used as given: nothing is stripped, nothing inserted.
type Prompts struct {
	Caption      string `json:"caption" toml:"caption"`             // "a photo of"
	Question     string `json:"question" toml:"question"`           // "Question: {} Answer:", {} is the question
	TargetPrefix string `json:"target_prefix" toml:"target_prefix"` // before a target: " " where tokens mark word starts by a space, "" where the tokenizer adds it
}

// CaptionExample asks for a caption of soft prompt i; target may be empty for
// generation.
func (p Prompts) CaptionExample(i int, target string) adapters.Example {
	return p.example(i, p.Caption, target)
}

// QuestionExample asks a question about soft prompt i.
func (p Prompts) QuestionExample(i int, question, answer string) adapters.Example {
	return p.example(i, strings.ReplaceAll(p.Question, "{}", question), answer)
}

// PrefixExample gives the beginning of a caption and wants the rest.
func (p Prompts) PrefixExample(i int, prefix, rest string) adapters.Example {
	return p.example(i, prefix, rest)
}

// BareExample gives soft prompt i alone and wants the caption: BLIP-2's
// pretraining with a decoder-only model.
func (p Prompts) BareExample(i int, target string) adapters.Example {
	return adapters.Example{Segments: []adapters.Segment{adapters.PromptSegment(i)}, Target: target}
}

func (p Prompts) example(i int, text, target string) adapters.Example {
	if target != "" {
		target = p.TargetPrefix + target
	}
	segments := []adapters.Segment{adapters.PromptSegment(i)}
	if text != "" {
		segments = append(segments, adapters.TextSegment(text))
	}
	return adapters.Example{Segments: segments, Target: target}
}

// WithoutPicture returns e with its soft prompts left out: what the language
// model says blindly.
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
