package tokenizer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

func TestVocabulary(t *testing.T) {
	tok, _ := fixture(t, "opt")
	if got := tok.VocabSize(); got != 600 {
		t.Errorf("size: got %d, want 600", got)
	}
	if id, ok := tok.IDOf("</s>"); id != 2 || !ok {
		t.Errorf("id of </s>: got %d, %v, want 2", id, ok)
	}
	if id, ok := tok.IDOf("no such token"); ok {
		t.Errorf("id of a token that is not there: got %d", id)
	}
	if got := tok.SpecialIDs(); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("special ids: got %v, want <pad> and </s>, [1 2]", got)
	}
	for id, token := range tok.Vocabulary() {
		if tok.Token(int32(id)) != token {
			t.Errorf("token %d: got %q and %q", id, tok.Token(int32(id)), token)
		}
		if back, ok := tok.IDOf(token); !ok || int(back) != id {
			t.Errorf("id of %q: got %d, want %d", token, back, id)
		}
	}
	if tok.Token(-1) != "" || tok.Token(600) != "" {
		t.Error("ids outside the vocabulary stand for a token, want none")
	}
}

func TestAddTokens(t *testing.T) {
	tok, _ := fixture(t, "wordpiece")
	size := tok.VocabSize()
	if err := tok.AddTokens([]string{"[DEC]", "[CLS]"}); err != nil {
		t.Fatal(err)
	}
	if id, ok := tok.IDOf("[DEC]"); !ok || int(id) != size || tok.VocabSize() != size+1 {
		t.Errorf("[DEC]: got id %d, size %d, want %d and %d", id, tok.VocabSize(), size, size+1)
	}
	if !slices.Contains(tok.SpecialIDs(), int32(size)) {
		t.Errorf("special ids: got %v, want %d among them", tok.SpecialIDs(), size)
	}
	got, err := tok.Encode("[DEC]a cat", true)
	if err != nil {
		t.Fatal(err)
	}
	if got.IDs[0] != 2 || got.IDs[1] != int32(size) || got.Offsets[1] != [2]int{0, 5} {
		t.Errorf("got %v, want [CLS], then [DEC] of bytes 0 to 5", got)
	}
	if text, err := tok.Decode(got.IDs, true); err != nil || text != "a cat" {
		t.Errorf("decoded: got %q, %v, want without special tokens", text, err)
	}
}

// TestSurfaces compares every token of whole vocabularies with what its decoder
// makes of it after a letter, where that is defined, and a few by name.
func TestSurfaces(t *testing.T) {
	for _, test := range []struct {
		fixture string
		want    map[string]string
	}{
		{"opt", map[string]string{"Ġphoto": " photo", "photo": "photo", "Ġ": " ", "Ċ": "", "Ã": "", "</s>": "", "Ã©": "é", "a": "a"}},
		{"qwen", map[string]string{"Ġphoto": " photo", "<|im_start|>": ""}},
		{"t5", map[string]string{"▁photo": " photo", "▁": " ", "<extra_id_0>": "", "a": "a"}},
		{"llama", map[string]string{"▁photo": " photo", "<0x41>": "", "<s>": ""}},
		{"wordpiece", map[string]string{"photo": " photo", "##s": "s", "[MASK]": ""}},
	} {
		t.Run(test.fixture, func(t *testing.T) {
			tok, _ := fixture(t, test.fixture)
			surfaces := tok.Surfaces()
			if len(surfaces) != tok.VocabSize() {
				t.Fatalf("got %d surfaces, want %d", len(surfaces), tok.VocabSize())
			}
			for token, want := range test.want {
				if id, ok := tok.IDOf(token); ok && surfaces[id] != want {
					t.Errorf("%q: got %q, want %q", token, surfaces[id], want)
				} else if !ok && want != "" {
					t.Errorf("%q is not in the vocabulary", token)
				}
			}
			letter, ok := tok.IDOf("a")
			if !ok {
				t.Fatal(`the vocabulary lacks "a"`)
			}
			for id, surface := range surfaces {
				if surface == "" || test.fixture == "wordpiece" && len(surface) < 3 {
					continue // WordPiece's decoder takes the space in front of punctuation away
				}
				text, err := tok.Decode([]int32{letter, int32(id)}, false)
				if err != nil || strings.TrimPrefix(text, "a") != surface {
					t.Errorf("%q: got %q, decoded after a letter %q, %v", tok.Token(int32(id)), surface, text, err)
				}
			}
		})
	}
}

func TestBadText(t *testing.T) {
	tok, _ := fixture(t, "opt")
	_, err := tok.Encode("ab\xffcd", false)
	if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "byte 0xff at offset 2") {
		t.Errorf("got %v, want an error that names the byte and its offset", err)
	}
	if err := tok.AddTokens([]string{"\xff"}); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("add a token that is not UTF-8: got %v", err)
	}
	if got, err := tok.Encode("a\ufffdb", false); err != nil || len(got.IDs) == 0 {
		t.Errorf("U+FFFD is a character like any other: got %v, %v", got, err)
	}
}

// TestRandom feeds random bytes, repaired and not, and random ids to every
// tokenizer: an error or a sane result, never a crash.
func TestRandom(t *testing.T) {
	for _, name := range []string{"bytelevel", "llama", "nmt", "opt", "qwen", "t5", "wordpiece"} {
		tok, _ := fixture(t, name)
		rng := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			raw := randomBytes(rng)
			if _, err := tok.Encode(raw, true); (err == nil) != utf8.ValidString(raw) {
				t.Fatalf("%s: %q: got %v", name, raw, err)
			}
			text := strings.ToValidUTF8(raw, "�")
			got, err := tok.Encode(text, true)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, text, err)
			}
			for i, o := range got.Offsets {
				if o[0] < 0 || o[0] > o[1] || o[1] > len(text) || !utf8.ValidString(text[o[0]:o[1]]) {
					t.Fatalf("%s: %q: token %d has offsets %v", name, text, i, o)
				}
			}
			ids := make([]int32, rng.IntN(20))
			for i := range ids {
				ids[i] = int32(rng.Uint32()) >> rng.IntN(32)
			}
			if text, err := tok.Decode(ids, true); err != nil || !utf8.ValidString(text) {
				t.Fatalf("%s: decode %v: got %q, %v", name, ids, text, err)
			}
		}
	}
}

// randomBytes returns up to 60 characters, some of them broken.
func randomBytes(rng *rand.Rand) string {
	var b []byte
	for range rng.IntN(60) {
		switch rng.IntN(8) {
		case 0:
			b = append(b, byte(rng.Uint32()))
		case 1, 2:
			b = utf8.AppendRune(b, rune(rng.IntN(0x110000)))
		case 3:
			b = utf8.AppendRune(b, rune(0x300+rng.IntN(0x70)))
		default:
			b = append(b, byte(rng.IntN(128)))
		}
	}
	return string(b)
}

func TestConcurrentUse(t *testing.T) {
	tok, g := fixture(t, "qwen")
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for _, c := range g.Cases[worker*50:][:50] {
				got, err := tok.Encode(c.Text, false)
				if err != nil || !slices.Equal(got.IDs, c.Bare) {
					t.Errorf("%q: got %v, %v, want %v", c.Text, got.IDs, err, c.Bare)
				}
			}
		})
	}
	wg.Wait()
}

// TestLargeBatch is larger than one request to the module.
func TestLargeBatch(t *testing.T) {
	tok, _ := fixture(t, "opt")
	texts := make([]string, 30)
	for i := range texts {
		texts[i] = strings.Repeat(fmt.Sprintf("photo %d ", i), 9_000/(1+i%3))
	}
	batch, err := tok.EncodeBatch(texts, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if back, err := tok.Decode(batch[i].IDs, true); err != nil || back != text {
			t.Errorf("text %d: %d bytes came back as %d, %v", i, len(text), len(back), err)
		}
	}
	if got, err := tok.EncodeBatch(nil, true); err != nil || len(got) != 0 {
		t.Errorf("no texts: got %v, %v", got, err)
	}
	if got, err := tok.DecodeBatch(nil, true); err != nil || len(got) != 0 {
		t.Errorf("no ids: got %v, %v", got, err)
	}
}

// TestRestart breaks an instance as a crash inside the module would.
func TestRestart(t *testing.T) {
	tok, _ := fixture(t, "wordpiece")
	if err := tok.AddTokens([]string{"[DEC]"}); err != nil {
		t.Fatal(err)
	}
	want, err := tok.Encode("[DEC] a photo", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.in.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Encode("a photo", true); adapters.KindOf(err) != adapters.Internal {
		t.Errorf("broken instance: got %v, want an internal error", err)
	}
	got, err := tok.Encode("[DEC] a photo", true)
	if err != nil || !slices.Equal(got.IDs, want.IDs) {
		t.Errorf("after a restart: got %v, %v, want %v", got, err, want)
	}
}

func TestClose(t *testing.T) {
	tok, _ := fixture(t, "opt")
	for range 2 {
		if err := tok.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tok.Encode("a", false); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("closed: got %v, want an error", err)
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, filepath.Join("testdata", "opt"), adapters.TokenizerDefaults{Class: "GPT2Tokenizer"}); adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("got %v, want canceled", err)
	}
}

// tinyModule exports one function, "f", that does nothing: the real module takes
// a second to compile.
var tinyModule = []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" +
	"\x07\x05\x01\x01f\x00\x00" + "\x0a\x04\x01\x02\x00\x0b")

// TestCompilationCache compiles into a folder, loads from it, survives a
// damaged file there and a folder that cannot be written.
func TestCompilationCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wasm")
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), "file", "")
	use := func(dir string) {
		t.Helper()
		m, err := compile(dir, tinyModule)
		if err != nil {
			t.Fatal(err)
		}
		defer m.runtime.Close(t.Context())
		in, err := m.instantiate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.mod.ExportedFunction("f").Call(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	use(dir)
	cached, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(cached) != 1 {
		t.Fatalf("cache holds %v, %v, want one file", cached, err)
	}
	use(dir)
	text, err := os.ReadFile(cached[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cached[0], text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	use(dir)
	use(filepath.Join(file, "wasm"))
}

func TestCacheDir(t *testing.T) {
	t.Setenv("BRIDGE_CACHE", "/some/where")
	if got := cacheDir(); got != filepath.FromSlash("/some/where/wasm") {
		t.Errorf("got %q", got)
	}
}

func TestCertain(t *testing.T) {
	llama, _ := fixture(t, "llama")
	word, ok := llama.IDOf("▁the")
	a, aOK := llama.IDOf("<0x41>")
	b, bOK := llama.IDOf("<0xFF>")
	if !ok || !aOK || !bOK {
		t.Fatal("the vocabulary lacks the tokens of this test")
	}
	for _, test := range []struct {
		ids  []int32
		want int
	}{{nil, 0}, {[]int32{a, llama.SpecialIDs()[0], 1 << 20, b}, 0}, {[]int32{word, word}, 2}, {[]int32{word, a, b}, 1}, {[]int32{word, a, word}, 3}, {[]int32{a, b}, 0}} {
		if got := llama.CertainPrefix(test.ids); len(got) != test.want {
			t.Errorf("of %v %d are certain, want %d", test.ids, len(got), test.want)
		}
	}
	gpt2, _ := fixture(t, "gpt2")
	if got := gpt2.CertainPrefix([]int32{1, 2}); len(got) != 2 {
		t.Errorf("without byte tokens %v are certain", got)
	}
}

// The bytes of a text's tokens make the text, also of tokens for parts of characters.
func TestTokenBytes(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"opt":       {"Ġphoto": " photo", "Ċ": "\n", "Ã": "\xc3", "</s>": ""},
		"t5":        {"▁photo": " photo", "</s>": ""},
		"llama":     {"▁photo": " photo", "<0x41>": "A", "<0x0A>": "\n", "<s>": ""},
		"wordpiece": {"photo": " photo", "##s": "s", "[MASK]": ""},
	} {
		t.Run(name, func(t *testing.T) {
			tok, _ := fixture(t, name)
			for token, text := range want {
				if id, ok := tok.IDOf(token); ok && string(tok.TokenBytes(id)) != text {
					t.Errorf("%q: got %q, want %q", token, tok.TokenBytes(id), text)
				}
			}
			if name == "wordpiece" || name == "t5" {
				return // these drop characters that they do not have
			}
			const text = "a café 猫 🐱"
			encoding, err := tok.Encode(text, false)
			if err != nil {
				t.Fatal(err)
			}
			var joined []byte
			for _, id := range encoding.IDs {
				joined = append(joined, tok.TokenBytes(id)...)
			}
			if strings.TrimPrefix(string(joined), " ") != text {
				t.Errorf("the tokens of %q make %q", text, joined)
			}
			if tok.TokenBytes(-1) != nil || tok.TokenBytes(1<<30) != nil {
				t.Error("ids out of the vocabulary have bytes")
			}
		})
	}
}
