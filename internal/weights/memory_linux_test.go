package weights

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/procfs"
)

// zeroCheckpoint writes a checkpoint of n bfloat16 tensors of zeros with the given number of bytes.
// It is a sparse file, which needs no space on the disk.
func zeroCheckpoint(t *testing.T, n int, bytes int64) (dir string, specs []TensorSpec) {
	t.Helper()
	dir = t.TempDir()
	var entries []string
	for i := range n {
		name := fmt.Sprintf("layers.%d.weight", i)
		specs = append(specs, TensorSpec{Name: name, Shape: []int{int(bytes / 2)}})
		entries = append(entries, fmt.Sprintf(`%q:{"dtype":"BF16","shape":[%d],"data_offsets":[%d,%d]}`, name, bytes/2, int64(i)*bytes, int64(i+1)*bytes))
	}
	text := "{" + strings.Join(entries, ",") + "}"
	header := raw(text+strings.Repeat(" ", (8-len(text)%8)%8), nil) // aligned, like the headers of all current writers
	path := filepath.Join(dir, weightsFile)
	if err := os.WriteFile(path, header, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(header))+int64(n)*bytes); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, specs
}

// measured returns a size of this process that [procfs.Resident] or [procfs.Peak] measures, in bytes.
func measured(t *testing.T, size func(pid int) (int64, error)) int64 {
	t.Helper()
	n, err := size(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	return n
}

// Opening, hashing and loading needs at most the memory of the file and one tensor, because the
// memory of a copied tensor is released before the next is read.
func TestMemoryOfLoading(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // no digest is cached
	mega := int64(8)
	if s := os.Getenv("BRIDGE_TEST_CHECKPOINT_MB"); s != "" { // size of each of 32 tensors
		var err error
		if mega, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	const n = 32
	dir, specs := zeroCheckpoint(t, n, mega<<20)
	backend := backends.ForTest(t)
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("the peak cannot be reset: ", err)
	}
	before := measured(t, procfs.Resident)
	f := mustOpen(t, dir)
	if _, err := f.Digest(); err != nil {
		t.Fatal(err)
	}
	store, err := f.Load(context.Background(), backend, specs, Options{DType: adapters.BFloat16})
	if err != nil {
		t.Fatal(err)
	}
	took, file := measured(t, procfs.Peak)-before, int64(n)*mega<<20
	store.Finalize()
	t.Logf("%s on %s: a file of %d MB took %d MB at its peak", adapters.BFloat16, backends.Describe(backend), file>>20, took>>20)
	const runtime = 24 << 20 // of Go, of the hash, and of the first use of a backend
	if limit := file + mega<<20 + runtime; took > limit {
		t.Errorf("the peak is %d MB, want at most %d: the file, one tensor and a margin", took>>20, limit>>20)
	}
}
