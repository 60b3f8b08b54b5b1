package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestOpenTokenizerJSON(t *testing.T) {
	g := readGolden(t, "t5")
	dir := t.TempDir()
	write(t, dir, "tokenizer.json", string(g.Tokenizer))
	tok, err := Open(t.Context(), dir, defaultsOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	got, err := tok.Encode(g.Cases[200].Text, true)
	if err != nil || !slices.Equal(got.IDs, g.Cases[200].Full) {
		t.Errorf("got %v, %v, want %v", got, err, g.Cases[200].Full)
	}
}

// TestOpenFamilies reads one vocabulary with several configurations.
func TestOpenFamilies(t *testing.T) {
	type files map[string]string
	for name, test := range map[string]struct {
		files   files
		bos     string // "" for none
		special []string
	}{
		"opt by model type": {files{"config.json": `{"model_type": "opt"}`}, "</s>", []string{"</s>"}},
		"gpt2 by class":     {files{"tokenizer_config.json": `{"tokenizer_class": "GPT2TokenizerFast"}`}, "", []string{"<|endoftext|>"}},
		"bos asked for": {files{"tokenizer_config.json": `{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": {"content": "<s>"}}`},
			"<s>", []string{"<s>", "<|endoftext|>"}},
		"bos refused": {files{"config.json": `{"model_type": "opt"}`, "tokenizer_config.json": `{"add_bos_token": false}`}, "", []string{"</s>"}},
		"special_tokens_map": {files{"config.json": `{"model_type": "opt"}`, "special_tokens_map.json": `{"pad_token": "<pad>", "unk_token": "<unk>"}`},
			"</s>", []string{"<pad>", "</s>", "<unk>"}},
		"added tokens": {files{"config.json": `{"model_type": "opt"}`, "added_tokens.json": `{"<image>": 600}`,
			"tokenizer_config.json": `{"added_tokens_decoder": {"600": {"content": "<image>", "special": true}}}`},
			"</s>", []string{"</s>", "<image>"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyFolder(t, "vocab.json", "merges.txt")
			for file, text := range test.files {
				write(t, dir, file, text)
			}
			tok, err := Open(t.Context(), dir, defaultsOf(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			defer tok.Close()
			got, err := tok.Encode("a photo", true)
			if err != nil {
				t.Fatal(err)
			}
			bos := ""
			if got.Offsets[0] == [2]int{} {
				bos = tok.Token(got.IDs[0])
			}
			var special []string
			for _, id := range tok.SpecialIDs() {
				special = append(special, tok.Token(id))
			}
			if bos != test.bos || !slices.Equal(special, test.special) {
				t.Errorf("got bos %q, special tokens %q, want %q, %q", bos, special, test.bos, test.special)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	type files map[string]string
	opt := `{"model_type": "opt"}`
	for name, test := range map[string]struct {
		files files
		kind  adapters.Kind
		want  []string
	}{
		"empty folder":     {files{}, adapters.NotFound, []string{"looked for tokenizer.json, for vocab.json with merges.txt", "save_pretrained"}},
		"other pieces":     {files{"sentencepiece.bpe.model": "x"}, adapters.NotFound, []string{"found sentencepiece.bpe.model alone"}},
		"no merges":        {files{"vocab.json": "{}"}, adapters.NotFound, []string{"found vocab.json alone"}},
		"empty file":       {files{"tokenizer.json": ""}, adapters.Corrupt, []string{"tokenizer.json", "empty"}},
		"not JSON":         {files{"tokenizer.json": "<html>"}, adapters.Corrupt, []string{"tokenizer.json", "invalid character"}},
		"not a tokenizer":  {files{"tokenizer.json": `{"a": 1}`}, adapters.Corrupt, []string{"tokenizer.json"}},
		"bad vocab":        {files{"vocab.json": "[]", "merges.txt": "a b\n", "config.json": opt}, adapters.Corrupt, []string{"vocab.json"}},
		"bad merges":       {files{"vocab.json": "{}", "merges.txt": "#version: 0.2\na b c\n", "config.json": opt}, adapters.Corrupt, []string{"merges.txt", "line 2"}},
		"unknown merge":    {files{"vocab.json": `{"a": 0, "</s>": 1}`, "merges.txt": "a b\n", "config.json": opt}, adapters.Corrupt, []string{"`b`"}},
		"no bos":           {files{"vocab.json": `{"a": 0}`, "merges.txt": "\n", "config.json": opt}, adapters.Corrupt, []string{`lacks the token "</s>"`}},
		"conflicting id":   {files{"vocab.json": `{"</s>": 0}`, "merges.txt": "\n", "config.json": opt, "added_tokens.json": `{"</s>": 5}`}, adapters.Corrupt, []string{"id 0", "5"}},
		"another class":    {files{"vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": `{"tokenizer_class": "CLIPTokenizer"}`}, adapters.Corrupt, []string{"merges.txt", "empty"}},
		"class unknown":    {files{"vocab.json": "{}", "merges.txt": "\n", "tokenizer_config.json": `{"tokenizer_class": "CLIPTokenizer"}`}, adapters.Unsupported, []string{`"CLIPTokenizer"`}},
		"nothing says":     {files{"vocab.json": "{}", "merges.txt": "\n"}, adapters.Unsupported, []string{`model_type ""`}},
		"huge id":          {files{"vocab.json": `{"a": 2000000000, "</s>": 0}`, "merges.txt": "\n", "config.json": opt}, adapters.Corrupt, []string{"2000000000"}},
		"bad config":       {files{"vocab.json": "{}", "merges.txt": "\n", "config.json": "{"}, adapters.Corrupt, []string{"config.json"}},
		"id of text":       {files{"vocab.json": `{"a": "1"}`, "merges.txt": "\n", "config.json": opt}, adapters.Corrupt, []string{"vocab.json: got text, want a whole number"}},
		"wrong type":       {files{"vocab.json": `{"a": 1}`, "merges.txt": "\n", "tokenizer_config.json": `{"add_bos_token": "yes"}`}, adapters.Corrupt, []string{`tokenizer_config.json: add_bos_token is "yes", want true or false`}},
		"type of a name":   {files{"vocab.json": `{"a": 1}`, "merges.txt": "\n", "tokenizer_config.json": `{"bos_token": 3}`}, adapters.Corrupt, []string{`tokenizer_config.json: bos_token is 3, want text`}},
		"negative id":      {files{"vocab.json": `{"a": -1}`, "merges.txt": "\n", "config.json": opt}, adapters.Corrupt, nil},
		"folder not there": {nil, adapters.NotFound, []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.files == nil {
				dir = filepath.Join(dir, "none")
			}
			for file, text := range test.files {
				write(t, dir, file, text)
			}
			_, err := Open(t.Context(), dir, defaultsOf(t, dir))
			if err == nil || adapters.KindOf(err) != test.kind {
				t.Fatalf("got %v (%v), want %v", err, adapters.KindOf(err), test.kind)
			}
			for _, want := range append(test.want, dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to say %q", err, want)
				}
			}
		})
	}
}

// defaultsOf returns the defaults for the model type of a folder, as families declare
// them.
func defaultsOf(t testing.TB, dir string) adapters.TokenizerDefaults {
	t.Helper()
	var config struct {
		ModelType string `json:"model_type"`
	}
	if text, err := os.ReadFile(filepath.Join(dir, "config.json")); err == nil {
		_ = json.Unmarshal(text, &config) // Open reports what is wrong with it
	}
	d := map[string]adapters.TokenizerDefaults{
		"opt":     {Class: "GPT2Tokenizer", BOS: true, SpecialToken: "</s>"},
		"gpt2":    {Class: "GPT2Tokenizer"},
		"t5":      {Class: "T5Tokenizer", SentencePiece: "spiece.model"},
		"llama":   {SentencePiece: "tokenizer.model"},
		"mistral": {Class: "TokenizersBackend", IgnoreClass: true, SentencePiece: "tokenizer.model"},
	}[config.ModelType]
	d.ModelType = config.ModelType
	return d
}

func TestReadable(t *testing.T) {
	llama := adapters.TokenizerDefaults{SentencePiece: "tokenizer.model"}
	for _, c := range []struct {
		names    []string
		defaults adapters.TokenizerDefaults
		want     bool
	}{
		{[]string{"config.json", "tokenizer.json"}, adapters.TokenizerDefaults{}, true},
		{[]string{"vocab.json", "merges.txt"}, adapters.TokenizerDefaults{}, true},
		{[]string{"vocab.json"}, adapters.TokenizerDefaults{}, false},
		{[]string{"tokenizer.model"}, llama, true},
		{[]string{"spiece.model"}, llama, false},
		{[]string{"tokenizer.model"}, adapters.TokenizerDefaults{}, false},
	} {
		if got := Readable(c.names, c.defaults); got != c.want {
			t.Errorf("Readable(%v, %+v) = %v", c.names, c.defaults, got)
		}
	}
}
