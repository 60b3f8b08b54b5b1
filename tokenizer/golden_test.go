package tokenizer

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The fixtures of testdata are written by tools/tokenizer/golden.py.

type golden struct {
	Tokenizer json.RawMessage
	Cases     []struct {
		Text        string
		Bare        []int32
		BareOffsets [][2]int `json:"bare_offsets"`
		Full        []int32
		FullOffsets [][2]int `json:"full_offsets"`
		Decoded     string
		DecodedFull string `json:"decoded_full"`
	}
	Decodes []struct {
		IDs  []int32
		Text string
	}
}

func readGolden(t testing.TB, name string) golden {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zr, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.NewDecoder(zr).Decode(&g); err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) < 300 || len(g.Decodes) < 100 {
		t.Fatalf("%s: got %d cases and %d decodes, want hundreds", name, len(g.Cases), len(g.Decodes))
	}
	return g
}

// fixture returns the tokenizer of a golden file; opt and gpt2 come from a
// folder without tokenizer.json.
func fixture(t testing.TB, name string) (*Tokenizer, golden) {
	t.Helper()
	g := readGolden(t, name)
	var tok *Tokenizer
	var err error
	switch name {
	case "opt":
		dir := filepath.Join("testdata", "opt")
		tok, err = Open(t.Context(), dir, defaultsOf(t, dir))
	case "gpt2":
		dir := gpt2Folder(t)
		tok, err = Open(t.Context(), dir, defaultsOf(t, dir))
	default:
		tok, err = New(t.Context(), g.Tokenizer)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	return tok, g
}

// gpt2Folder is testdata/opt with GPT-2's configuration.
func gpt2Folder(t testing.TB) string {
	dir := copyFolder(t, "vocab.json", "merges.txt")
	write(t, dir, "config.json", `{"model_type": "gpt2"}`)
	return dir
}

func copyFolder(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("testdata", "opt", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, string(text))
	}
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"bytelevel", "gpt2", "llama", "nmt", "opt", "qwen", "t5", "wordpiece"} {
		t.Run(name, func(t *testing.T) {
			tok, g := fixture(t, name)
			checkEncodings(t, tok, g)
			checkDecodes(t, tok, g)
		})
	}
}

func checkEncodings(t *testing.T, tok *Tokenizer, g golden) {
	texts := make([]string, len(g.Cases))
	for i, c := range g.Cases {
		texts[i] = c.Text
	}
	bare, err := tok.EncodeBatch(texts, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range g.Cases {
		if !slices.Equal(bare[i].IDs, c.Bare) || !slices.Equal(bare[i].Offsets, c.BareOffsets) {
			t.Errorf("%q without special tokens: got %v, want %v %v", c.Text, bare[i], c.Bare, c.BareOffsets)
		}
		full, err := tok.Encode(c.Text, true)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(full.IDs, c.Full) || !slices.Equal(full.Offsets, c.FullOffsets) {
			t.Errorf("%q: got %v, want %v %v", c.Text, full, c.Full, c.FullOffsets)
		}
	}
}

func checkDecodes(t *testing.T, tok *Tokenizer, g golden) {
	check := func(ids []int32, skip bool, want string) {
		if got, err := tok.Decode(ids, skip); err != nil || got != want {
			t.Errorf("decode %v: got %q, %v, want %q", ids, got, err, want)
		}
	}
	for _, c := range g.Cases {
		check(c.Full, true, c.Decoded)
		check(c.Full, false, c.DecodedFull)
	}
	var lists [][]int32
	for _, c := range g.Decodes {
		lists = append(lists, c.IDs)
	}
	texts, err := tok.DecodeBatch(lists, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range g.Decodes {
		if texts[i] != c.Text {
			t.Errorf("decode %v: got %q, want %q", c.IDs, texts[i], c.Text)
		}
	}
}

// TestTargetTokens pins the use that offsets are for: in a prompt and a target
// tokenized as one string, the tokens that touch the target.
func TestTargetTokens(t *testing.T) {
	for _, name := range []string{"bytelevel", "opt", "gpt2", "qwen", "llama", "t5", "nmt", "wordpiece"} {
		tok, _ := fixture(t, name)
		for _, target := range []string{" cat", "日本語", " naïve café", "\u00e9"} {
			const prompt = "a photo of"
			whole, err := tok.Encode(prompt+target, false)
			if err != nil {
				t.Fatal(err)
			}
			alone, err := tok.Encode(prompt, false)
			if err != nil {
				t.Fatal(err)
			}
			first := slices.IndexFunc(whole.Offsets, func(o [2]int) bool { return o[1] > len(prompt) })
			if first != len(alone.IDs) || !slices.Equal(whole.IDs[:first], alone.IDs) {
				t.Errorf("%s: %q + %q: first target token is %d of %v, want %d", name, prompt, target, first, whole, len(alone.IDs))
			}
		}
	}
}

func BenchmarkEncodeBatch(b *testing.B) {
	for _, name := range []string{"opt", "qwen", "t5", "wordpiece"} {
		b.Run(name, func(b *testing.B) {
			tok, g := fixture(b, name)
			var texts []string
			for _, c := range g.Cases {
				texts = append(texts, c.Text)
			}
			for b.Loop() {
				if _, err := tok.EncodeBatch(texts, true); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(texts))/b.Elapsed().Seconds(), "strings/s")
		})
	}
}

func BenchmarkStart(b *testing.B) {
	file := readGolden(b, "qwen").Tokenizer
	dir := b.TempDir()
	code, err := unpack()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := compile(dir, code); err != nil {
		b.Fatal(err)
	}
	b.Run("module", func(b *testing.B) {
		for b.Loop() {
			code, err := unpack()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := compile(dir, code); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tokenizer", func(b *testing.B) {
		for b.Loop() {
			tok, err := New(b.Context(), file)
			if err != nil {
				b.Fatal(err)
			}
			tok.Close()
		}
	})
}
