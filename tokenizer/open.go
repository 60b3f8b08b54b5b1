package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// Open returns the tokenizer of a folder as Hugging Face saves it: the tokenizer of its
// tokenizer.json, with the tokens of the configuration files beside it. Without one it is the byte-level BPE of vocab.json and merges.txt, or
// the tokenizer that transformers makes of a SentencePiece model, tokenizer.model or
// spiece.model. In these cases tokenizer_config.json and config.json name the class of the
// tokenizer and the token before every text; defaults has what they leave out, which
// follows from the model type ([adapters.Family.TokenizerFor]).
func Open(ctx context.Context, dir string, defaults adapters.TokenizerDefaults) (*Tokenizer, error) {
	text, err := read(dir, "tokenizer.json")
	switch {
	case err != nil:
	case text == nil:
		text, err = assemble(dir, defaults)
	default:
		text, err = withSettings(dir, text, defaults)
	}
	if err != nil {
		return nil, err
	}
	t, err := New(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("tokenizer of %s: %w", dir, err)
	}
	return t, nil
}

// Readable reports whether [Open] finds a tokenizer among the names of a folder's files.
func Readable(names []string, defaults adapters.TokenizerDefaults) bool {
	has := func(name string) bool { return slices.Contains(names, name) }
	return has("tokenizer.json") || has("vocab.json") && has("merges.txt") ||
		defaults.SentencePiece != "" && has(defaults.SentencePiece)
}

// assemble makes a tokenizer.json from a folder's vocab.json and merges.txt, or from its
// SentencePiece model.
func assemble(dir string, defaults adapters.TokenizerDefaults) ([]byte, error) {
	vocab, err := read(dir, "vocab.json")
	if err != nil {
		return nil, err
	}
	merges, err := read(dir, "merges.txt")
	if err != nil {
		return nil, err
	}
	if vocab == nil || merges == nil {
		if text, err := fromSentencePiece(dir, defaults); err != nil || text != nil {
			return text, err
		}
		return nil, missing(dir)
	}
	config, err := readBPEConfig(dir, defaults)
	if err != nil {
		return nil, err
	}
	var b bpe
	if err := jsonfile.Decode(filepath.Join(dir, "vocab.json"), vocab, &b.vocab); err != nil {
		return nil, err
	}
	if b.merges, err = parseMerges(merges); err != nil {
		return nil, corrupt(dir, "merges.txt", err)
	}
	text, err := b.tokenizerJSON(config)
	if err != nil {
		return nil, fmt.Errorf("tokenizer of %s: %w", dir, err)
	}
	return withSettings(dir, text, defaults)
}

// missing returns the error for a folder without a tokenizer that can be read.
func missing(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return adapters.Errorf(adapters.NotFound, "tokenizer folder: %w", err)
	}
	const looked = "no tokenizer in %s: looked for tokenizer.json, for vocab.json with merges.txt, for tokenizer.model and for spiece.model"
	e := adapters.Errorf(adapters.NotFound, looked, dir)
	for _, other := range []string{"sentencepiece.bpe.model", "vocab.txt", "vocab.json"} {
		if _, err := os.Stat(filepath.Join(dir, other)); err == nil {
			e = adapters.Errorf(adapters.NotFound, looked+"; found %s alone", dir, other)
			break
		}
	}
	return e.WithRemedy(writeRemedy)
}

// read returns a file's text, or nil if there is no such file.
func read(dir, name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "read the tokenizer: %w", err)
	}
	if len(text) == 0 {
		return nil, corrupt(dir, name, errors.New("the file is empty"))
	}
	return text, nil
}

// readJSON decodes a file into v. It leaves v unchanged if there is no such file.
func readJSON(dir, name string, v any) error {
	text, err := read(dir, name)
	if err != nil || text == nil {
		return err
	}
	return jsonfile.Decode(filepath.Join(dir, name), text, v)
}

func corrupt(dir, name string, err error) error {
	return adapters.Errorf(adapters.Corrupt, "%s: %w", filepath.Join(dir, name), err)
}
