package wheels

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestOldDriverIsRefused(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the plugin exists for Linux on x86-64 only")
	}
	file := filepath.Join(t.TempDir(), "version")
	if err := os.WriteFile(file, []byte("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkDriver(file, io.Discard); adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "driver 535.183.01 is too old") {
		t.Errorf("got %v", err)
	}
}
