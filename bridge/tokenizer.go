package bridge

import (
	"context"
	"fmt"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// MaxTextTokens is the length of the longest text that stage 1 reads, in tokens, [CLS]
// and [SEP] included (BLIP-2: max_txt_len 32).
const MaxTextTokens = 32

// Tokenizer is the tokenizer of a Q-Former's text side: WordPiece with the special
// tokens [PAD], [CLS], [SEP] and [DEC].
type Tokenizer struct {
	tok                *tokenizer.Tokenizer
	json               []byte
	pad, cls, sep, dec int32
}

// OpenTokenizer reads a tokenizer.json. It adds a [DEC] token if the file has none, as
// BLIP-2 does to BERT's tokenizer.
func OpenTokenizer(ctx context.Context, path string) (*Tokenizer, error) {
	json, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the Q-Former's tokenizer: %w", err)
	}
	t, err := newTokenizer(ctx, json)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func newTokenizer(ctx context.Context, json []byte) (*Tokenizer, error) {
	tok, err := tokenizer.New(ctx, json)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{tok: tok, json: json}
	if _, ok := tok.IDOf("[DEC]"); !ok {
		if err := tok.AddTokens([]string{"[DEC]"}); err != nil {
			return nil, err
		}
	}
	for name, id := range map[string]*int32{"[PAD]": &t.pad, "[CLS]": &t.cls, "[SEP]": &t.sep, "[DEC]": &t.dec} {
		found, ok := tok.IDOf(name)
		if !ok {
			return nil, adapters.Errorf(adapters.Unsupported, "there is no token %s, want a BERT WordPiece vocabulary", name)
		}
		*id = found
	}
	return t, nil
}

// clone opens the tokenizer again, for another bridge. It returns nil if t is nil.
func (t *Tokenizer) clone(ctx context.Context) (*Tokenizer, error) {
	if t == nil {
		return nil, nil
	}
	return newTokenizer(ctx, t.json)
}

// Close frees the tokenizer.
func (t *Tokenizer) Close() error { return t.tok.Close() }

// Vocabulary returns V, [DEC] included.
func (t *Tokenizer) Vocabulary() int { return t.tok.VocabSize() }

// DEC returns the id of [DEC], the first token of a text that is generated.
func (t *Tokenizer) DEC() int32 { return t.dec }

// Batch encodes texts as int32[B, T], each [CLS] … [SEP], at most [MaxTextTokens]
// tokens with [SEP] kept, padded on the right with [PAD] to a multiple of 4. Longer texts are
// cut after the last token that fits. The name of a special token in a text is text.
func (t *Tokenizer) Batch(texts []string) (*adapters.Tensor, error) {
	ids, _, err := t.BatchUpTo(texts, MaxTextTokens)
	return ids, err
}

// BatchUpTo is like [Tokenizer.Batch] with another limit, of at least 2 tokens. It also
// returns the indices of the texts that it cut.
func (t *Tokenizer) BatchUpTo(texts []string, limit int) (ids *adapters.Tensor, cut []int, err error) {
	encoded, err := t.tok.EncodeTexts(texts)
	if err != nil {
		return nil, nil, err
	}
	longest := 0
	rows := make([][]int32, len(texts))
	for i, e := range encoded {
		n := min(len(e.IDs), limit-2)
		if n < len(e.IDs) {
			cut = append(cut, i)
		}
		rows[i] = append(append([]int32{t.cls}, e.IDs[:n]...), t.sep)
		longest = max(longest, len(rows[i]))
	}
	width := min((longest+3)/4*4, limit)
	out := adapters.NewTensor(adapters.Int32, len(texts), width)
	flat := out.Int32s()
	for i := range flat {
		flat[i] = t.pad
	}
	for i, row := range rows {
		copy(flat[i*width:], row)
	}
	return out, cut, nil
}

// CountTokens implements [adapters.TokenCounter]: it counts without [CLS] and [SEP].
func (t *Tokenizer) CountTokens(_ context.Context, texts []string) ([]int32, error) {
	encoded, err := t.tok.EncodeTexts(texts)
	if err != nil {
		return nil, err
	}
	return tokenizer.Counts(encoded), nil
}

// Pad returns the id of [PAD].
func (t *Tokenizer) Pad() int32 { return t.pad }
