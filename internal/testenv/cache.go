package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// Cache sets the cache of bridge to a new folder for the rest of the test, and returns the folder.
// Only the compiled tokenizers are shared with other tests, because compiling them takes a second.
func Cache(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("BRIDGE_CACHE", dir)
	user, err := os.UserCacheDir()
	if err != nil {
		return dir
	}
	shared := filepath.Join(user, "bridge", "wasm") // package tokenizer's default folder
	if err := os.MkdirAll(shared, 0o755); err != nil {
		return dir
	}
	if err := os.Symlink(shared, filepath.Join(dir, "wasm")); err != nil {
		t.Fatal(err)
	}
	return dir
}
