package lm

import (
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// None stands for a token that a model does not have.
const None int32 = -1

// Rules say how a family turns an example into tokens (docs/contract.md).
type Rules struct {
	Architecture adapters.Architecture
	// BOS stands before the first text of a decoder-only input; None if the
	// tokenizer adds none.
	BOS int32
	// End are the ids that end an answer. The first is the one that a target is
	// scored with, and closes the input of an encoder.
	End []int32
	// Start is the decoder's first input token in an encoder-decoder model.
	Start int32
}

// Sequence is one example as the model reads it.
type Sequence struct {
	// Input holds, for each position, a token id or, as ^r, row r of the soft
	// prompts flattened to [M·Q, D].
	Input []int32
	// Target are the ids that the loss is summed over. In a decoder-only model
	// Target[i] is predicted at input position First+i; in an encoder-decoder
	// model the decoder reads Rules.Start and Target without its last id.
	Target []int32
	First  int
}

// Encoder tokenizes texts without special tokens; *tokenizer.Tokenizer is one.
type Encoder interface {
	EncodeBatch(texts []string, addSpecial bool) ([]tokenizer.Encoding, error)
}

// Layout turns examples into sequences.
type Layout struct {
	Rules   Rules
	Encoder Encoder
	// Rows is Q, the rows of each soft prompt.
	Rows int
}

// Scored returns the sequences of examples with their targets. In a
// decoder-only model the last target token is no input: nothing is predicted
// from it.
func (l Layout) Scored(examples []adapters.Example) ([]Sequence, error) {
	return l.sequences(examples, true)
}

// Open returns the sequences that an answer is to follow: examples without
// their targets.
func (l Layout) Open(examples []adapters.Example) ([]Sequence, error) {
	return l.sequences(examples, false)
}

func (l Layout) sequences(examples []adapters.Example, scored bool) ([]Sequence, error) {
	plans := make([]plan, len(examples))
	for i, e := range examples {
		plans[i] = l.plan(e, scored)
	}
	tokens, err := l.tokenize(plans)
	if err != nil {
		return nil, err
	}
	out := make([]Sequence, len(examples))
	for i, p := range plans {
		if l.Rules.Architecture == adapters.EncoderDecoder {
			out[i] = l.encoderDecoder(p, tokens, scored)
			continue
		}
		if out[i], err = l.decoderOnly(p, tokens, scored); err != nil {
			return nil, adapters.Errorf(adapters.Invalid, "example %d: %w", i, err)
		}
	}
	return out, nil
}

// run is a soft prompt, or neighbouring texts joined to one string.
type run struct {
	text     string
	prompt   int
	isPrompt bool
}

// plan is an example cut into the strings that are tokenized each on its own.
type plan struct {
	runs    []run
	tail    string // the last string: decoder-only the last text and the target, else the target
	given   int    // bytes of tail that belong to the input
	hasText bool   // some segment is a text
}

// plan joins neighbouring texts and, in a decoder-only model, the last of them
// with the target. Empty strings leave no run.
func (l Layout) plan(e adapters.Example, scored bool) plan {
	var p plan
	for _, s := range e.Segments {
		n := len(p.runs)
		switch {
		case s.IsPrompt:
			p.runs = append(p.runs, run{prompt: s.Prompt, isPrompt: true})
			continue
		case n > 0 && !p.runs[n-1].isPrompt:
			p.runs[n-1].text += s.Text
		case s.Text != "":
			p.runs = append(p.runs, run{text: s.Text})
		}
		p.hasText = true
	}
	if n := len(p.runs); l.Rules.Architecture == adapters.DecoderOnly && n > 0 && !p.runs[n-1].isPrompt {
		p.tail = p.runs[n-1].text
		p.runs = p.runs[:n-1]
	}
	p.given = len(p.tail)
	if scored {
		p.tail += e.Target
	}
	return p
}

// tokenize encodes every string of the plans, each distinct one once.
func (l Layout) tokenize(plans []plan) (map[string]tokenizer.Encoding, error) {
	var texts []string
	for _, p := range plans {
		for _, r := range p.runs {
			if !r.isPrompt {
				texts = append(texts, r.text)
			}
		}
		texts = append(texts, p.tail)
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	encodings, err := l.Encoder.EncodeBatch(texts, false)
	if err != nil {
		return nil, err
	}
	tokens := make(map[string]tokenizer.Encoding, len(texts))
	for i, text := range texts {
		tokens[text] = encodings[i]
	}
	tokens[""] = tokenizer.Encoding{} // no text is no token, whatever prefix a tokenizer puts
	return tokens, nil
}

// decoderOnly lays out segments, target and end of answer in one line.
func (l Layout) decoderOnly(p plan, tokens map[string]tokenizer.Encoding, scored bool) (Sequence, error) {
	bos := l.Rules.BOS
	var line []int32
	for _, r := range p.runs {
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
		first = len(line) + firstToken(tail, p.given)
	}
	line = append(line, tail.IDs...)
	if !scored {
		if len(line) == 0 {
			return Sequence{}, adapters.Errorf(adapters.Invalid, "the input has no token, want a text or a soft prompt")
		}
		return Sequence{Input: line}, nil
	}
	line = append(line, l.Rules.End[0])
	if first == 0 {
		return Sequence{}, adapters.Errorf(adapters.Invalid, "nothing precedes the target's first token, want a text or a soft prompt")
	}
	return Sequence{Input: line[:len(line)-1], Target: line[first:], First: first - 1}, nil
}

// firstToken returns the index of the first token that reaches past the given
// bytes, the number of tokens if there is none.
func firstToken(e tokenizer.Encoding, given int) int {
	if given == 0 {
		return 0
	}
	for i, o := range e.Offsets {
		if o[1] > given {
			return i
		}
	}
	return len(e.IDs)
}

// encoderDecoder lays out the segments for the encoder, the target for the
// decoder.
func (l Layout) encoderDecoder(p plan, tokens map[string]tokenizer.Encoding, scored bool) Sequence {
	var s Sequence
	for _, r := range p.runs {
		if r.isPrompt {
			s.Input = l.appendPrompt(s.Input, r.prompt)
		} else {
			s.Input = append(s.Input, tokens[r.text].IDs...)
		}
	}
	s.Input = append(s.Input, l.Rules.End[0])
	if scored {
		s.Target = append(slices.Clone(tokens[p.tail].IDs), l.Rules.End[0])
	}
	return s
}

func (l Layout) appendPrompt(line []int32, prompt int) []int32 {
	for q := range l.Rows {
		line = append(line, ^int32(prompt*l.Rows+q))
	}
	return line
}
