package lm

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// A tokenizer may have special tokens beyond the embeddings, and no other token. Their names
// are text. A text with another token that has no embedding is refused.
func TestTokensBeyondTheEmbeddings(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "bridge", "testdata", "golden-t5", "checkpoint", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	image, ok := tok.IDOf("<image>")
	if !ok || int(image) != tok.VocabSize()-1 {
		t.Fatalf("<image> is token %d of %d", image, tok.VocabSize())
	}
	fits := vocabChecked{tok, int(image)}
	if token, found := fits.tokenWithoutEmbedding(); found {
		t.Errorf("%q has no embedding", token)
	}
	if got, err := fits.EncodeTexts([]string{"a cat", "a <image>"}); err != nil || slices.Contains(got[1].IDs, image) {
		t.Errorf("a text with <image>: %v, %v", got, err)
	}
	dog, err := tok.Encode("a dog", false)
	if err != nil {
		t.Fatal(err)
	}
	short := vocabChecked{tok, int(slices.Max(dog.IDs))}
	if _, err := short.EncodeTexts([]string{"a dog"}); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "a dog") {
		t.Errorf("a text with a token that has no embedding: %v", err)
	}
	if token, found := (vocabChecked{tok, int(image) - 1}).tokenWithoutEmbedding(); !found || token == "<image>" {
		t.Errorf("a word without an embedding: %q, %v", token, found)
	}
}
