package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// stderr has the calls of adapters only at log level trace.
func TestTraceLevelShowsCalls(t *testing.T) {
	folder := filepath.Join("..", "..", "adapters", "vit", "testdata", "golden-quick-gelu")
	for level, shown := range map[string]bool{"trace": true, "debug": false} {
		_, stderr := mustExit(t, exitDone, "--log-level", level, "verify", folder, "--backend", "go")
		if got := strings.Contains(stderr, "level=TRACE msg=rpc plugin=vit rpc=Encode"); got != shown {
			t.Errorf("--log-level %s shows calls: %v\n%s", level, got, stderr)
		}
	}
}
