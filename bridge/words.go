package bridge

import (
	"context"
	"fmt"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// MaxWords is the longest text that stage 1 reads, in tokens, [CLS] and [SEP]
// included (BLIP-2: max_txt_len 32).
const MaxWords = 32

// Words is the tokenizer of a Q-Former's text side: WordPiece with the special
// tokens [PAD], [CLS], [SEP] and [DEC].
type Words struct {
	tok                *tokenizer.Tokenizer
	json               []byte
	pad, cls, sep, dec int32
}

// OpenWords reads a tokenizer.json. A [DEC] token is added where the file has
// none, as BLIP-2 does to BERT's.
func OpenWords(ctx context.Context, path string) (*Words, error) {
	json, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the Q-Former's tokenizer: %w", err)
	}
	w, err := newWords(ctx, json)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

func newWords(ctx context.Context, json []byte) (*Words, error) {
	tok, err := tokenizer.New(ctx, json)
	if err != nil {
		return nil, err
	}
	w := &Words{tok: tok, json: json}
	if _, ok := tok.IDOf("[DEC]"); !ok {
		if err := tok.AddTokens([]string{"[DEC]"}); err != nil {
			return nil, err
		}
	}
	for name, id := range map[string]*int32{"[PAD]": &w.pad, "[CLS]": &w.cls, "[SEP]": &w.sep, "[DEC]": &w.dec} {
		found, ok := tok.IDOf(name)
		if !ok {
			return nil, adapters.Errorf(adapters.Unsupported, "there is no token %s, want a BERT WordPiece vocabulary", name)
		}
		*id = found
	}
	return w, nil
}

// clone opens the tokenizer again, for another bridge; nil of nil.
func (w *Words) clone(ctx context.Context) (*Words, error) {
	if w == nil {
		return nil, nil
	}
	return newWords(ctx, w.json)
}

// Close frees the tokenizer.
func (w *Words) Close() error { return w.tok.Close() }

// Vocabulary returns V, [DEC] included.
func (w *Words) Vocabulary() int { return w.tok.VocabSize() }

// DEC returns the id that begins a text which is to be generated.
func (w *Words) DEC() int32 { return w.dec }

// Batch encodes texts as int32[B, T], each [CLS] … [SEP], at most [MaxWords]
// tokens with [SEP] kept, padded on the right with [PAD] to a multiple of 4.
func (w *Words) Batch(texts []string) (*adapters.Tensor, error) { return w.batch(texts, MaxWords) }

// batch is [Words.Batch] for a Q-Former that has as many positions.
func (w *Words) batch(texts []string, positions int) (*adapters.Tensor, error) {
	encoded, err := w.tok.EncodeBatch(texts, false)
	if err != nil {
		return nil, err
	}
	longest := 0
	rows := make([][]int32, len(texts))
	for i, e := range encoded {
		ids := e.IDs[:min(len(e.IDs), MaxWords-2)]
		rows[i] = append(append([]int32{w.cls}, ids...), w.sep)
		longest = max(longest, len(rows[i]))
	}
	if longest > positions {
		return nil, adapters.Errorf(adapters.Invalid, "a text takes %d tokens, and the Q-Former has %d positions", longest, positions).
			WithRemedy("shorten the text")
	}
	width := min((longest+3)/4*4, positions)
	out := adapters.NewTensor(adapters.Int32, len(texts), width)
	flat := out.Int32s()
	for i := range flat {
		flat[i] = w.pad
	}
	for i, row := range rows {
		copy(flat[i*width:], row)
	}
	return out, nil
}

// Pad returns the id of [PAD].
func (w *Words) Pad() int32 { return w.pad }
