package lm

import (
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// None stands for a token that a model does not have.
const None int32 = -1

// SpecialTokens are the token ids that a family adds to the texts of an example
// (docs/contract.md).
type SpecialTokens struct {
	// BOS stands before the first text of a decoder-only input; it is None if the
	// tokenizer adds no such token.
	BOS int32
	// End are the ids that end an answer. The first of them is scored as the end of a
	// target, and closes the input of an encoder.
	End []int32
	// Start is the decoder's first input token in an encoder-decoder model.
	Start int32
}

// Sequence is the token sequence of one example.
type Sequence struct {
	// Input holds, for each position, a token id or, as ^r, row r of the soft
	// prompts flattened to [M·Q, D].
	Input []int32
	// Target are the ids that the loss is summed over. In a decoder-only model
	// Target[i] is predicted at input position First+i; in an encoder-decoder
	// model the decoder reads SpecialTokens.Start and Target without its last id.
	Target []int32
	First  int
}

// TextEncoder turns texts into token ids, without special tokens; *tokenizer.Tokenizer is one.
type TextEncoder interface {
	EncodeTexts(texts []string) ([]tokenizer.Encoding, error)
}

// Layout turns examples into sequences, as docs/contract.md says.
type Layout struct {
	Architecture  adapters.Architecture
	SpecialTokens SpecialTokens
	Tokenizer     TextEncoder
	// Rows is Q, the rows of each soft prompt.
	Rows int
}

// WithTargets returns the sequences of examples with their targets. In a
// decoder-only model the last target token is not part of the input, because nothing
// is predicted from it.
func (l Layout) WithTargets(examples []adapters.Example) ([]Sequence, error) {
	return l.sequences(examples, true)
}

// WithoutTargets returns the sequences of examples without their targets: an answer is
// generated after each.
func (l Layout) WithoutTargets(examples []adapters.Example) ([]Sequence, error) {
	return l.sequences(examples, false)
}

func (l Layout) sequences(examples []adapters.Example, withTargets bool) ([]Sequence, error) {
	split := make([]splitExample, len(examples))
	for i, e := range examples {
		split[i] = l.split(e, withTargets)
	}
	tokens, err := l.tokenize(split)
	if err != nil {
		return nil, err
	}
	out := make([]Sequence, len(examples))
	for i, p := range split {
		if l.Architecture == adapters.EncoderDecoder {
			out[i] = l.encoderDecoder(p, tokens, withTargets)
			continue
		}
		if out[i], err = l.decoderOnly(p, tokens, withTargets); err != nil {
			return nil, adapters.Errorf(adapters.Invalid, "the text %s: %w", textOf(examples[i], withTargets), err).WithField("examples[%d]", i)
		}
	}
	return out, nil
}

// span is a soft prompt, or adjacent texts joined to one string.
type span struct {
	text     string
	prompt   int
	isPrompt bool
}

// splitExample is an example, split into the strings that are tokenized separately.
type splitExample struct {
	spans      []span
	tail       string // the last string: the target, after the last text in a decoder-only model
	inputBytes int    // bytes of tail that belong to the input
	hasText    bool   // a segment is a text
}

// split joins adjacent texts and, in a decoder-only model, the last of them with the
// target. Empty strings make no span.
func (l Layout) split(e adapters.Example, withTargets bool) splitExample {
	var p splitExample
	for _, s := range e.Segments {
		n := len(p.spans)
		switch {
		case s.IsPrompt:
			p.spans = append(p.spans, span{prompt: s.Prompt, isPrompt: true})
			continue
		case n > 0 && !p.spans[n-1].isPrompt:
			p.spans[n-1].text += s.Text
		case s.Text != "":
			p.spans = append(p.spans, span{text: s.Text})
		}
		p.hasText = true
	}
	if n := len(p.spans); l.Architecture == adapters.DecoderOnly && n > 0 && !p.spans[n-1].isPrompt {
		p.tail = p.spans[n-1].text
		p.spans = p.spans[:n-1]
	}
	p.inputBytes = len(p.tail)
	if withTargets {
		p.tail += e.Target
	}
	return p
}

// tokenize encodes every distinct string of the examples once.
func (l Layout) tokenize(examples []splitExample) (map[string]tokenizer.Encoding, error) {
	var texts []string
	for _, p := range examples {
		for _, r := range p.spans {
			if !r.isPrompt {
				texts = append(texts, r.text)
			}
		}
		texts = append(texts, p.tail)
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	encodings, err := l.Tokenizer.EncodeTexts(texts)
	if err != nil {
		return nil, err
	}
	tokens := make(map[string]tokenizer.Encoding, len(texts))
	for i, text := range texts {
		tokens[text] = encodings[i]
	}
	tokens[""] = tokenizer.Encoding{} // an empty text has no tokens, even if a tokenizer adds a prefix
	return tokens, nil
}

// decoderOnly puts segments, target and end of answer into one sequence.
func (l Layout) decoderOnly(p splitExample, tokens map[string]tokenizer.Encoding, withTargets bool) (Sequence, error) {
	bos := l.SpecialTokens.BOS
	var line []int32
	for _, r := range p.spans {
		if r.isPrompt {
			line = l.appendPrompt(line, r.prompt)
			continue
		}
		if bos != None {
			line, bos = append(line, bos), None
		}
		line = append(line, tokens[r.text].IDs...)
	}
	first := len(line)
	if bos != None {
		line = append(line, bos)
	}
	tail := tokens[p.tail]
	if p.hasText || bos == None {
		first = len(line) + firstToken(tail, p.inputBytes)
	}
	line = append(line, tail.IDs...)
	if !withTargets {
		if len(line) == 0 {
			return Sequence{}, adapters.Errorf(adapters.Invalid, "the input has no token, want a text or a soft prompt")
		}
		return Sequence{Input: line}, nil
	}
	line = append(line, l.SpecialTokens.End[0])
	if first == 0 {
		return Sequence{}, adapters.Errorf(adapters.Invalid, "nothing precedes the target's first token, want a text or a soft prompt")
	}
	return Sequence{Input: line[:len(line)-1], Target: line[first:], First: first - 1}, nil
}

// firstToken returns the index of the first token that ends after the given number of
// bytes, or the number of tokens if there is none.
func firstToken(e tokenizer.Encoding, bytes int) int {
	if bytes == 0 {
		return 0
	}
	for i, o := range e.Offsets {
		if o[1] > bytes {
			return i
		}
	}
	return len(e.IDs)
}

// encoderDecoder gives the segments to the encoder and the target to the decoder.
func (l Layout) encoderDecoder(p splitExample, tokens map[string]tokenizer.Encoding, withTargets bool) Sequence {
	var s Sequence
	for _, r := range p.spans {
		if r.isPrompt {
			s.Input = l.appendPrompt(s.Input, r.prompt)
		} else {
			s.Input = append(s.Input, tokens[r.text].IDs...)
		}
	}
	s.Input = append(s.Input, l.SpecialTokens.End[0])
	if withTargets {
		s.Target = append(slices.Clone(tokens[p.tail].IDs), l.SpecialTokens.End[0])
	}
	return s
}

func (l Layout) appendPrompt(line []int32, prompt int) []int32 {
	for q := range l.Rows {
		line = append(line, ^int32(prompt*l.Rows+q))
	}
	return line
}
