package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A bridge can run with other adapters for its frozen models. If only an id names a model,
// bridge finds its folder for the plugin.
func TestPluginsReplaceABridgesAdapters(t *testing.T) {
	w := newTestProject(t)
	self, err := os.Executable()
	must(t, err)
	llmRan := filepath.Join(t.TempDir(), "ran")
	llm := filepath.Join(t.TempDir(), "bridge-adapter-my-opt")
	must(t, os.WriteFile(llm, fmt.Appendf(nil, "#!/bin/sh\n>%s\nexec %s adapter serve opt\n", llmRan, self), 0o755))
	for _, line := range []string{
		"caption kit:stage2 kit:held-out/1 kit:held-out/2 --backend go", "ask kit:stage2 kit:held-out/3 how? --backend go",
	} {
		builtIn := w.bridge(exitDone, line+" --isolation none")
		if other := w.bridge(exitDone, line+" --llm-plugin "+llm, "plugin=my-opt"); lastLines(other, builtIn) != builtIn {
			t.Errorf("%s: with another language adapter %q, want %q", line, other, builtIn)
		}
		if other := w.bridge(exitDone, line+" --encoder-plugin "+w.plugin, "plugin=my-vit"); lastLines(other, builtIn) != builtIn {
			t.Errorf("%s: with another encoder adapter %q, want %q", line, other, builtIn)
		}
	}
	for _, file := range []string{llmRan, w.ranFile} {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("a plugin was not started: %v", err)
		}
	}
	w.bridge(exitFailed, "caption kit:stage2 kit:held-out/1 --llm-plugin nowhere", `no plugin "nowhere"`)
	w.bridge(exitFailed, "caption kit:stage2 kit:held-out/1 --llm-plugin "+w.plugin, "is a vision-encoder", "language-model")
}

// lastLines returns the end of text, with the length of other. The log is before it.
func lastLines(text, other string) string { return text[max(0, len(text)-len(other)):] }
