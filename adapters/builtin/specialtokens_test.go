package builtin_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/tokenizer"
)

// Every language family reads the names of its tokenizer's special tokens as text, in a
// prompt and in a target, though the tokenizer itself reads them as the tokens. A BLIP-2
// folder adds <image>.
func TestLanguageFamiliesReadSpecialNamesAsText(t *testing.T) {
	for _, family := range builtin.Families() {
		if family.OpenLanguage == nil {
			continue
		}
		dirs, err := filepath.Glob(filepath.Join("..", family.Name, "testdata", "golden-*", "checkpoint"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("golden folders of %s: %v, %v", family.Name, dirs, err)
		}
		if family.Name == "opt" || family.Name == "t5" {
			dirs = append(dirs, filepath.Join("..", "..", "bridge", "testdata", "golden-"+family.Name, "checkpoint"))
		}
		for _, dir := range dirs {
			t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) { readAsText(t, family, dir) })
		}
	}
}

func readAsText(t *testing.T, family adapters.Family, dir string) {
	tok, err := tokenizer.Open(t.Context(), dir, family.TokenizerFor(modelType(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	lm, err := family.OpenLanguage(t.Context(), &adapters.LoadRequest{Checkpoint: dir, Backend: "go"})
	if err != nil {
		t.Fatal(err)
	}
	defer lm.Close()
	counter, _ := adapters.AsTokenCounter(lm)
	embedder, _ := adapters.AsTokenEmbedder(lm)
	special := tok.SpecialIDs()
	if len(special) == 0 {
		t.Fatal("the tokenizer has no special tokens")
	}
	for _, id := range special {
		name := tok.Token(id)
		parsed, err := tok.Encode("a "+name, false)
		if err != nil || !slices.Contains(parsed.IDs, id) {
			t.Fatalf("the tokenizer reads %q as %v, %v: want the token %d", name, parsed.IDs, err, id)
		}
		if name == "<unk>" {
			continue // unknown characters have the same token
		}
		text := "a " + name
		want, err := tok.EncodeTexts([]string{text})
		if err != nil || slices.Contains(want[0].IDs, id) {
			t.Errorf("%q is read as %v, %v", text, want, err)
			continue
		}
		n := int32(len(want[0].IDs))
		counts, err := counter.CountTokens(t.Context(), []string{text})
		if err != nil || counts[0] != n {
			t.Errorf("%q: %v tokens, %v, want %d", text, counts, err, n)
		}
		embedded, err := embedder.EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{Texts: []string{text}})
		if err != nil || embedded.Counts[0] != n {
			t.Errorf("%q: embeddings of %v tokens, %v, want %d", text, embedded, err, n)
		}
		scored, err := lm.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.TextSegment("a")}, Target: " " + name},
			{Segments: []adapters.Segment{adapters.TextSegment(text)}, Target: " a"},
		}})
		if err != nil || scored.Tokens[0] < 2 {
			t.Errorf("%q as a target and as a prompt: %+v, %v", name, scored, err)
		}
	}
}

// modelType returns the model type of a checkpoint's language model.
func modelType(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		ModelType string `json:"model_type"`
		Text      struct {
			ModelType string `json:"model_type"`
		} `json:"text_config"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	if config.Text.ModelType != "" {
		return config.Text.ModelType
	}
	return config.ModelType
}
