package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// fixtures are the tokenizers of testdata: byte-level, SentencePiece's two models, WordPiece.
func fixtures() []string {
	return []string{"bytelevel", "gpt2", "llama", "nmt", "opt", "qwen", "t5", "wordpiece"}
}

// specialTokens returns the special tokens of a tokenizer except the one for unknown
// characters, and the id of that one, -1 if there is none.
func specialTokens(tok *Tokenizer) (names []string, unknown int32) {
	var file struct {
		Model struct {
			UnkID    *int32 `json:"unk_id"`
			UnkToken string `json:"unk_token"`
		} `json:"model"`
	}
	unknown = -1
	if json.Unmarshal(tok.JSON(), &file) == nil {
		if id, ok := tok.IDOf(file.Model.UnkToken); ok {
			unknown = id
		}
		if file.Model.UnkID != nil {
			unknown = *file.Model.UnkID
		}
	}
	for _, id := range tok.SpecialIDs() {
		if id != unknown {
			names = append(names, tok.Token(id))
		}
	}
	return names, unknown
}

// The name of a special token in a text is text: no text gives the token's id. Texts
// without such a name are encoded as ever.
func TestNamesOfSpecialTokensAreText(t *testing.T) {
	for _, name := range fixtures() {
		t.Run(name, func(t *testing.T) {
			tok, g := fixture(t, name)
			if err := tok.AddTokens([]string{"<image>"}); err != nil {
				t.Fatal(err)
			}
			names, unknown := specialTokens(tok)
			texts := []string{"", "<unk>", "a＜pad＞b", "＜/s＞"}
			for _, c := range g.Cases {
				texts = append(texts, c.Text)
			}
			for _, s := range names {
				texts = append(texts, s, "a "+s+" b", s+s, "x"+s+"y", " "+s, s+"\n", strings.ToUpper(s), "日本"+s+"👩‍🚀")
			}
			parsed, err := tok.EncodeBatch(texts, false)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tok.EncodeTexts(texts)
			if err != nil {
				t.Fatal(err)
			}
			isSpecial := func(id int32) bool { return id != unknown && slices.Contains(tok.SpecialIDs(), id) }
			met := 0
			for i, text := range texts {
				if slices.ContainsFunc(got[i].IDs, isSpecial) {
					t.Errorf("%q is read as the special tokens of %v", text, got[i].IDs)
				}
				switch special := slices.ContainsFunc(parsed[i].IDs, isSpecial); {
				case special:
					met++
				case !strings.Contains(text, "<unk>") && !strings.Contains(text, "[UNK]") && !slices.Equal(got[i].IDs, parsed[i].IDs):
					t.Errorf("%q: %v, and without a special token %v", text, got[i].IDs, parsed[i].IDs)
				}
			}
			if met < 8*len(names) {
				t.Errorf("%d texts were parsed as special tokens, want at least %d", met, 8*len(names))
			}
		})
	}
}

// A byte-level vocabulary and one with byte fallback can spell every name.
func TestNamesOfSpecialTokensComeBack(t *testing.T) {
	for _, name := range []string{"bytelevel", "gpt2", "llama", "opt", "qwen"} {
		tok, _ := fixture(t, name)
		names, _ := specialTokens(tok)
		for _, s := range names {
			text := "a " + s + " b"
			got, err := tok.EncodeTexts([]string{text})
			if err != nil {
				t.Fatal(err)
			}
			if back, err := tok.Decode(got[0].IDs, true); err != nil || strings.TrimSpace(back) != text {
				t.Errorf("%s: %q comes back as %q, %v", name, text, back, err)
			}
		}
	}
}

// A vocabulary may hold a special token among its words. With ignore_merges a word is looked
// up whole.
func TestSpecialTokensAmongTheWords(t *testing.T) {
	file := `{"version": "1.0", "added_tokens": [
		{"id": 6, "content": "ab", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
		{"id": 7, "content": "abc", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
		{"id": 3, "content": "!", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
		{"id": 8, "content": "<image>", "special": false, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
		{"id": 9, "content": "bb", "special": false, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
		"normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
		"model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
			"fuse_unk": true, "byte_fallback": false, "ignore_merges": true,
			"vocab": {"<unk>": 0, "a": 1, "b": 2, "!": 3, "c": 4, "bc": 5, "ab": 6, "abc": 7}, "merges": [["b", "c"], ["a", "b"]]}}`
	tok, err := New(t.Context(), []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	for text, want := range map[string][]int32{
		"abc":     {6, 4},    // not the special token, though it is a word of the vocabulary
		"ab":      {6},       // made by a merge
		"a!":      {1, 3},    // one character
		"<image>": {0, 1, 0}, // < and im are unknown, g and e too
		"cbb":     {4, 9},    // an added token that is not special
		"cabc":    {4, 6, 4},
		"bba!":    {9, 1, 3},
		"<unk>":   {0}, // unknown characters
		"abcabc":  {6, 4, 6, 4},
	} {
		got, err := tok.EncodeTexts([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0].IDs, want) {
			t.Errorf("%q: %v, want %v", text, got[0].IDs, want)
		}
	}
}

// Tokens that are added later are special, too, and hold after an earlier text.
func TestTokensAddedLaterAreNoText(t *testing.T) {
	tok, _ := fixture(t, "wordpiece")
	for _, added := range []string{"[DEC]", "[ENC]"} {
		if err := tok.AddTokens([]string{added}); err != nil {
			t.Fatal(err)
		}
		id, _ := tok.IDOf(added)
		got, err := tok.EncodeTexts([]string{"a " + added + " b"})
		if err != nil || slices.Contains(got[0].IDs, id) {
			t.Errorf("%s is read as %v, %v", added, got, err)
		}
	}
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tok.EncodeTexts([]string{"[DEC]"}); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("a closed tokenizer encodes: %v", err)
	}
}
