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

// bridge warns of a changed tokenizer even if the weights have not changed.
func TestWarnsOfAnotherTokenizer(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	model := registry.Backbone{Manifest: registry.Manifest{ID: "mine"}, Source: registry.FromFolder, Path: dir}
	write("{}")
	digest, err := TokenizerDigest(model)
	if err != nil || digest == "" {
		t.Fatalf("digest %q, %v", digest, err)
	}
	for _, c := range []struct {
		text, trained string
		warns         bool
	}{{"{}", digest, false}, {"[]", digest, true}, {"[]", "", false}} {
		write(c.text)
		var log bytes.Buffer
		New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))}).warnOtherTokenizer(model, bridge.Side{TokenizerDigest: c.trained})
		if strings.Contains(log.String(), "another tokenizer") != c.warns {
			t.Errorf("%+v: %s", c, log.String())
		}
	}
}
