package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A bridge goes through other adapters of the models that it was trained with, also
// where only an id names these: their folders are found for the plugins.
func TestPluginsReplaceABridgesAdapters(t *testing.T) {
	w := newTestProject(t)
	self, err := os.Executable()
	must(t, err)
	asked := filepath.Join(t.TempDir(), "asked")
	writer := filepath.Join(t.TempDir(), "bridge-adapter-my-opt")
	must(t, os.WriteFile(writer, fmt.Appendf(nil, "#!/bin/sh\n>%s\nexec %s adapter serve opt\n", asked, self), 0o755))
	for _, line := range []string{"caption kit:stage2 kit:held-out/1 kit:held-out/2 --backend go", "ask kit:stage2 kit:held-out/3 how? --backend go"} {
		builtIn := w.bridge(exitDone, line+" --isolation none")
		if other := w.bridge(exitDone, line+" --llm-plugin "+writer, "plugin=my-opt"); lastLines(other, builtIn) != builtIn {
			t.Errorf("%s: through another language adapter %q, want %q", line, other, builtIn)
		}
		if other := w.bridge(exitDone, line+" --encoder-plugin "+w.plugin, "plugin=my-vit"); lastLines(other, builtIn) != builtIn {
			t.Errorf("%s: through another encoder adapter %q, want %q", line, other, builtIn)
		}
	}
	for _, ran := range []string{asked, w.ranFile} {
		if _, err := os.Stat(ran); err != nil {
			t.Errorf("a plugin was not asked: %v", err)
		}
	}
	w.bridge(exitFailed, "caption kit:stage2 kit:held-out/1 --llm-plugin nowhere", `no plugin "nowhere"`)
	w.bridge(exitFailed, "caption kit:stage2 kit:held-out/1 --llm-plugin "+w.plugin, "is a vision-encoder", "language-model")
}

// lastLines returns the end of text, as long as the other: the log comes before it.
func lastLines(text, other string) string { return text[max(0, len(text)-len(other)):] }
