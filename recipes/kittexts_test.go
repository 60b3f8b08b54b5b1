package recipes

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/kit"
)

// The estimate of memory counts the kit's texts with kitTextTokens. A batch is as long as its longest text.
func TestTheKitsTexts(t *testing.T) {
	dir, err := kit.Extract(context.Background(), t.TempDir())
	must(t, err)
	tokenizer, err := bridge.OpenTokenizer(context.Background(), filepath.Join(dir, "qformer-tokenizer", "tokenizer.json"))
	must(t, err)
	defer tokenizer.Close()
	scenes, err := kit.Open(kit.Train)
	must(t, err)
	var texts []string
	for i := range 4000 {
		texts = append(texts, scenes.Example(i).Caption)
	}
	ids, err := tokenizer.Batch(texts)
	must(t, err)
	if ids.Shape[1] != kitTextTokens {
		t.Errorf("the longest captions have %d tokens, estimates count %d", ids.Shape[1], kitTextTokens)
	}
}
