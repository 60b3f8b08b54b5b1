package tokenizer

import (
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/modular-bridging/bridge/adapters"
)

// spmTable is testdata/sentencepiece.json.gz, which tools/reference/spm.py
// writes: folders with a SentencePiece model, and transformers' tokenizer of them.
type spmTable struct {
	Models [][]byte
	Rows   []spmRow
}

type spmRow struct {
	Name, File string
	Model      int
	Files      map[string]json.RawMessage
	Tokenizer  json.RawMessage
	Cases      []struct {
		Text        string
		Bare, Full  []int32
		Decoded     string
		DecodedFull string `json:"decoded_full"`
	}
}

func readSPM(t *testing.T) spmTable {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "sentencepiece.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zr, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var table spmTable
	if err := json.NewDecoder(zr).Decode(&table); err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) < 20 {
		t.Fatalf("got %d tokenizers, want more", len(table.Rows))
	}
	return table
}

// folder writes a row's folder.
func (table spmTable) folder(t *testing.T, row spmRow) string {
	dir := t.TempDir()
	write(t, dir, row.File, string(table.Models[row.Model]))
	for name, text := range row.Files {
		write(t, dir, name, string(text))
	}
	return dir
}

// row returns the named row.
func (table spmTable) row(t *testing.T, name string) spmRow {
	t.Helper()
	i := slices.IndexFunc(table.Rows, func(r spmRow) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no row %q", name)
	}
	return table.Rows[i]
}

// TestSentencePiece compares the tokenizer.json, ids and texts with those of
// transformers.
func TestSentencePiece(t *testing.T) {
	table := readSPM(t)
	for _, row := range table.Rows {
		t.Run(row.Name, func(t *testing.T) {
			dir := table.folder(t, row)
			tok, err := Open(t.Context(), dir, defaultsOf(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			defer tok.Close()
			var got, want any
			if err := json.Unmarshal(tok.JSON(), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(row.Tokenizer, &want); err != nil {
				t.Fatal(err)
			}
			differ(t, "", got, want)
			for _, c := range row.Cases {
				bare, err1 := tok.Encode(c.Text, false)
				full, err2 := tok.Encode(c.Text, true)
				if err1 != nil || err2 != nil || !slices.Equal(bare.IDs, c.Bare) || !slices.Equal(full.IDs, c.Full) {
					t.Errorf("%q: got %v and %v, %v, %v, want %v and %v", c.Text, bare.IDs, full.IDs, err1, err2, c.Bare, c.Full)
				}
				if got, err := tok.Decode(c.Full, true); err != nil || got != c.Decoded {
					t.Errorf("decode %v: got %q, %v, want %q", c.Full, got, err, c.Decoded)
				}
				if got, err := tok.Decode(c.Full, false); err != nil || got != c.DecodedFull {
					t.Errorf("decode all of %v: got %q, %v, want %q", c.Full, got, err, c.DecodedFull)
				}
			}
		})
	}
}

// differ reports where two JSON values differ.
func differ(t *testing.T, path string, got, want any) {
	t.Helper()
	g, isMap := got.(map[string]any)
	w, both := want.(map[string]any)
	if !isMap || !both {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %.600v, want %.600v", path, got, want)
		}
		return
	}
	for key := range maps.Keys(w) {
		differ(t, path+"."+key, g[key], w[key])
	}
	for key := range maps.Keys(g) {
		if _, ok := w[key]; !ok {
			t.Errorf("%s.%s is %v, want none", path, key, g[key])
		}
	}
}

func TestSentencePieceBOS(t *testing.T) {
	table := readSPM(t)
	for name, want := range map[string]string{
		"vicuna": "<s>", "class alone": "", "legacy null": "<s>", "end alone": "", "bos null": "", "other bos": "<ctl>", "t5": "",
	} {
		dir := table.folder(t, table.row(t, name))
		tok, err := Open(t.Context(), dir, defaultsOf(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		defer tok.Close()
		id, ok, err := tok.BOS()
		if err != nil || ok != (want != "") || ok && tok.Token(id) != want {
			t.Errorf("%s: got %q, %v, %v, want %q", name, tok.Token(id), ok, err, want)
		}
	}
}

// message writes a ModelProto of the given pieces and trainer's settings.
func message(algorithm uint64, suffix bool, pieces ...string) string {
	var out []byte
	for _, p := range pieces {
		inner := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), p)
		out = protowire.AppendBytes(protowire.AppendTag(out, 1, protowire.BytesType), inner)
	}
	trainer := protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), algorithm)
	trainer = protowire.AppendVarint(protowire.AppendTag(trainer, 24, protowire.VarintType), protowire.EncodeBool(suffix))
	return string(protowire.AppendBytes(protowire.AppendTag(out, 2, protowire.BytesType), trainer))
}

func TestSentencePieceErrors(t *testing.T) {
	table := readSPM(t)
	vicuna := string(table.Models[table.row(t, "vicuna").Model])
	const class = `{"tokenizer_class": "LlamaTokenizer"}`
	for name, test := range map[string]struct {
		model string
		files map[string]string
		kind  adapters.Kind
		want  string
	}{
		"cut off":           {vicuna[:len(vicuna)/2], nil, adapters.Corrupt, "tokenizer.model: not a SentencePiece model: unexpected EOF"},
		"not a model":       {"<html>", nil, adapters.Corrupt, "not a SentencePiece model"},
		"no pieces":         {message(2, false), nil, adapters.Corrupt, "it has no pieces"},
		"tiktoken":          {"IQ== 0\nIg== 1\n", nil, adapters.Corrupt, "a tiktoken vocabulary, want a SentencePiece model"},
		"not UTF-8":         {message(2, false, "a\xff"), nil, adapters.Corrupt, `the piece "a\xff" is not UTF-8`},
		"a piece twice":     {message(2, false, "<unk>", "<s>", "</s>", "a", "a"), nil, adapters.Corrupt, `the piece "a" has two ids, 3 and 4`},
		"Unigram":           {message(1, false, "a"), nil, adapters.Unsupported, "a SentencePiece model of type 1, only BPE (2)"},
		"suffix":            {message(2, true, "a"), nil, adapters.Unsupported, "treat_whitespace_as_suffix"},
		"BPE for T5":        {vicuna, map[string]string{"tokenizer_config.json": `{"tokenizer_class": "T5Tokenizer"}`}, adapters.Unsupported, "type 2, only Unigram (1)"},
		"no class":          {vicuna, map[string]string{"tokenizer_config.json": `{}`, "config.json": `{"model_type": "llama"}`}, adapters.Unsupported, `got tokenizer_class "", model_type "llama"`},
		"another class":     {vicuna, map[string]string{"tokenizer_config.json": `{"tokenizer_class": "GemmaTokenizer"}`}, adapters.Unsupported, `got tokenizer_class "GemmaTokenizer"`},
		"Mistral":           {vicuna, map[string]string{"config.json": `{"model_type": "mistral"}`}, adapters.Unsupported, `model_type "mistral"`},
		"another id":        {vicuna, map[string]string{"added_tokens.json": `{"<pad>": 7}`}, adapters.Corrupt, `the token "<pad>" the id 7, and by the vocabulary it is 380`},
		"not an id":         {vicuna, map[string]string{"tokenizer_config.json": `{"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": {"x": {"content": "a"}}}`}, adapters.Corrupt, `"x" is no token id`},
		"a name of its own": {vicuna, map[string]string{"tokenizer_config.json": `{"tokenizer_class": "LlamaTokenizer", "image_token": "<image>"}`}, adapters.Unsupported, "a special token image_token"},
		"type":              {vicuna, map[string]string{"tokenizer_config.json": `{"tokenizer_class": "LlamaTokenizer", "legacy": "no"}`}, adapters.Corrupt, `tokenizer_config.json: legacy is "no", want true or false`},
		"split":             {vicuna, map[string]string{"tokenizer_config.json": `{"tokenizer_class": "LlamaTokenizer", "split_special_tokens": true}`}, adapters.Unsupported, "split_special_tokens is true"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "tokenizer.model", test.model)
			write(t, dir, "tokenizer_config.json", class)
			for file, text := range test.files {
				write(t, dir, file, text)
			}
			_, err := Open(t.Context(), dir, defaultsOf(t, dir))
			if err == nil || adapters.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v (%v), want %v with %q", err, adapters.KindOf(err), test.kind, test.want)
			}
		})
	}
}
