package workspace

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/registry"
)

// A changed tokenizer is warned of even if the weights have not changed.
func TestWarnsOfAnotherTokenizer(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	model := registry.Backbone{Manifest: registry.Manifest{ID: "mine"}, Source: registry.FromFolder, Path: dir}
	write("{}")
	words, err := TokenizerDigest(model)
	if err != nil || words == "" {
		t.Fatalf("digest %q, %v", words, err)
	}
	for _, c := range []struct {
		text, trained string
		warns         bool
	}{{"{}", words, false}, {"[]", words, true}, {"[]", "", false}} {
		write(c.text)
		var log bytes.Buffer
		New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))}).warnOtherTokenizer(model, bridge.Side{TokenizerDigest: c.trained})
		if strings.Contains(log.String(), "another tokenizer") != c.warns {
			t.Errorf("%+v: %s", c, log.String())
		}
	}
}
