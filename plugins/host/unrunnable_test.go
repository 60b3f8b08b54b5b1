package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// The error for a program that the kernel does not run says what the file is.
func TestProgramsThatCannotRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want, remedy string }{
		"a text":         {"hello\n", "is neither a program nor a script", "#!/bin/sh"},
		"no interpreter": {"#!/no/such/python\n", "is a script for /no/such/python, which does not exist", "build the plugin again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "bridge-adapter-x")
			if err := os.WriteFile(path, []byte(c.text), 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := Launch(t.Context(), Config{Name: "x", Path: path})
			plugintest.WantError(t, err, adapters.NotFound, "the plugin's program cannot be run: "+path+" "+c.want, c.remedy, "plugin x, rpc start")
		})
	}
}
