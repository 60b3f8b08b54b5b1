package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// maxRequest bounds what is sent to the module at once: a batch is cut into
// requests of about this size, and a single text may have up to maxText bytes.
const (
	maxRequest = 1 << 20
	maxText    = 64 << 20
	maxVocab   = 1 << 24
)

// Encoding is a tokenized text.
type Encoding struct {
	// IDs are the token ids, with the special tokens that the tokenizer's template adds.
	IDs []int32

	// Offsets hold, for each token, the first byte of the text that it stands
	// for and the byte after the last. A token for a part of a character (in a
	// byte-level vocabulary) has the offsets of the whole character. Tokens
	// that the template adds have [0, 0].
	//
	// A token reaches into the text from byte n on exactly if its second offset
	// is greater than n. Where the file trims offsets (trim_offsets), a token of
	// spaces alone has equal offsets, and this test still holds.
	Offsets [][2]int
}

// Tokenizer is an open tokenizer. Several goroutines may use it at once.
type Tokenizer struct {
	json   []byte
	scheme scheme

	mu     sync.Mutex
	in     *instance // nil when closed, or when a call failed half way
	closed bool
	added  []string
	plain  *Tokenizer // for texts with a special token's name; nil until one is met
	vocabulary
}

// vocabulary holds the module's data about single tokens.
type vocabulary struct {
	tokens  []string // by id; "" for a hole
	ids     map[string]int32
	special []int32 // ascending
}

// New returns the tokenizer that a tokenizer.json's text describes. The slice
// must not be changed afterwards.
func New(ctx context.Context, json []byte) (*Tokenizer, error) {
	scheme, err := parseScheme(json)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{json: json, scheme: scheme}
	if err := t.start(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// start gives t an instance in the state that t describes.
func (t *Tokenizer) start(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	m, err := shared()
	if err != nil {
		return adapters.Errorf(adapters.Internal, "%w", err)
	}
	in, err := m.instantiate(ctx)
	if err != nil {
		return adapters.Errorf(adapters.Exhausted, "%w", err)
	}
	defer func() {
		if err != nil {
			in.close()
			t.in = nil
		}
	}()
	if _, err := in.call("load", t.json); err != nil {
		return adapters.Errorf(adapters.Corrupt, "tokenizer.json: %w", err)
	}
	t.in = in
	if len(t.added) > 0 {
		if err := t.sendAdded(t.added); err != nil {
			return err
		}
	}
	return t.readVocabulary()
}

// call runs a function of the module; t.mu is held. After a call that did not
// return the instance is thrown away, and the next call starts a fresh one.
func (t *Tokenizer) call(function string, request []byte, args ...uint64) ([]byte, error) {
	if t.closed {
		return nil, adapters.Errorf(adapters.Invalid, "tokenizer is closed")
	}
	if t.in == nil {
		if err := t.start(context.Background()); err != nil {
			return nil, err
		}
	}
	got, err := t.in.call(function, request, args...)
	if err == nil {
		return got, nil
	}
	if broken := (*trap)(nil); errors.As(err, &broken) {
		t.in.close()
		t.in = nil
		return nil, adapters.Errorf(adapters.Internal, "tokenizer: %s failed: %w", function, err)
	}
	return nil, adapters.Errorf(adapters.Invalid, "tokenizer: %s: %w", function, err)
}

func (t *Tokenizer) readVocabulary() error {
	got, err := t.call("vocabulary", nil)
	if err != nil {
		return err
	}
	v := vocabulary{ids: map[string]int32{}}
	for a := answer(got); len(a) > 0; {
		id, special, token := a.number(), a.number() != 0, a.string()
		if id >= maxVocab {
			return adapters.Errorf(adapters.Corrupt, "tokenizer.json: token %q has id %d, want less than %d", token, id, maxVocab)
		}
		if id >= len(v.tokens) {
			v.tokens = append(v.tokens, make([]string, id+1-len(v.tokens))...)
		}
		v.tokens[id] = token
		v.ids[token] = int32(id)
		if special {
			v.special = append(v.special, int32(id))
		}
	}
	slices.Sort(v.special)
	t.vocabulary = v
	return nil
}

// Encode tokenizes text; addSpecial adds the tokens that the tokenizer's
// template puts around a text (OPT: "</s>" in front). Text that is not UTF-8 is
// an [adapters.Invalid] error.
func (t *Tokenizer) Encode(text string, addSpecial bool) (Encoding, error) {
	all, err := t.EncodeBatch([]string{text}, addSpecial)
	if err != nil {
		return Encoding{}, err
	}
	return all[0], nil
}

// EncodeBatch tokenizes each text as [Tokenizer.Encode] does, faster than one
// by one. It fails as a whole.
func (t *Tokenizer) EncodeBatch(texts []string, addSpecial bool) ([]Encoding, error) {
	for i, text := range texts {
		if err := checkText(text); err != nil {
			return nil, fmt.Errorf("text %d of %d: %w", i+1, len(texts), err)
		}
	}
	out := make([]Encoding, 0, len(texts))
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(out) < len(texts) {
		var request []byte
		for i := len(out); i < len(texts) && (request == nil || len(request)+len(texts[i]) < maxRequest); i++ {
			request = putString(request, texts[i])
		}
		got, err := t.call("encode", request, flag(addSpecial))
		if err != nil {
			return nil, err
		}
		for a := answer(got); len(a) > 0; {
			out = append(out, readEncoding(&a))
		}
	}
	return out, nil
}

func readEncoding(a *answer) Encoding {
	n := a.number()
	e := Encoding{IDs: make([]int32, n), Offsets: make([][2]int, n)}
	for i := range n {
		e.IDs[i] = int32(a.number())
		e.Offsets[i] = [2]int{a.number(), a.number()}
	}
	return e
}

// checkText returns an error for a text that the module cannot take.
func checkText(text string) error {
	if len(text) > maxText {
		return adapters.Errorf(adapters.Exhausted, "text of %d bytes, want at most %d", len(text), maxText).WithRemedy("tokenize it in parts")
	}
	if utf8.ValidString(text) {
		return nil
	}
	for at, r := range text {
		if _, size := utf8.DecodeRuneInString(text[at:]); r == utf8.RuneError && size == 1 {
			return adapters.Errorf(adapters.Invalid, "text is not UTF-8: byte %#02x at offset %d", text[at], at).
				WithRemedy("convert it to UTF-8, or drop the bytes with strings.ToValidUTF8")
		}
	}
	return nil
}

// Decode returns the text of ids, by the tokenizer's own decoder without further clean-up of
// spaces. Ids without a token are left out; bytes that are not UTF-8 become U+FFFD.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) (string, error) {
	all, err := t.DecodeBatch([][]int32{ids}, skipSpecial)
	if err != nil {
		return "", err
	}
	return all[0], nil
}

// DecodeBatch decodes each list of ids as [Tokenizer.Decode] does.
func (t *Tokenizer) DecodeBatch(ids [][]int32, skipSpecial bool) ([]string, error) {
	var request []byte
	for _, list := range ids {
		request = putNumber(request, len(list))
		for _, id := range list {
			request = putNumber(request, int(id))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	got, err := t.call("decode", request, flag(skipSpecial))
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(ids))
	for a := answer(got); len(a) > 0; {
		out = append(out, a.string())
	}
	return out, nil
}

// AddTokens adds special tokens, such as the "[DEC]" of BLIP-2's Q-Former. A
// token that is there keeps its id; a new one gets the next free id.
func (t *Tokenizer) AddTokens(special []string) error {
	for _, token := range special {
		if err := checkText(token); err != nil {
			return fmt.Errorf("token %q: %w", token, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.sendAdded(special); err != nil {
		return err
	}
	t.added = append(t.added, special...)
	t.dropPlain()
	return t.readVocabulary()
}

// dropPlain closes the tokenizer for texts with a special token's name, which lacks what
// was added since; t.mu is held.
func (t *Tokenizer) dropPlain() error {
	if t.plain == nil {
		return nil
	}
	plain := t.plain
	t.plain = nil
	return plain.Close()
}

func (t *Tokenizer) sendAdded(special []string) error {
	var request []byte
	for _, token := range special {
		request = putString(request, token)
	}
	_, err := t.call("add_tokens", request)
	return err
}

// JSON returns the tokenizer.json that the tokenizer was made of, without what
// [Tokenizer.AddTokens] added. It must not be changed.
func (t *Tokenizer) JSON() []byte { return t.json }

// VocabSize returns one more than the largest id.
func (t *Tokenizer) VocabSize() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.tokens)
}

// IDOf returns the id of a token, given as the vocabulary spells it ("Ġdog").
func (t *Tokenizer) IDOf(token string) (id int32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok = t.ids[token]
	return id, ok
}

// Token returns the token of an id as the vocabulary spells it, or "" if there is none.
func (t *Tokenizer) Token(id int32) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id < 0 || int(id) >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Vocabulary returns all tokens by id as the vocabulary spells them, "" for an id without a
// token.
func (t *Tokenizer) Vocabulary() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.tokens)
}

// SpecialIDs returns the ids of the special tokens in ascending order.
func (t *Tokenizer) SpecialIDs() []int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.special)
}

// Close frees the tokenizer's memory. What the module knows about single tokens
// stays readable; encoding and decoding fail from then on.
func (t *Tokenizer) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	err := t.dropPlain()
	if t.in == nil {
		return err
	}
	err = errors.Join(err, t.in.close())
	t.in = nil
	return err
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
