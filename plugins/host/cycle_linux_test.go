package host

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// usage is the resources that a host holds.
type usage struct {
	descriptors, goroutines, children, sockets int
	memory                                     int64 // that is no file's
}

func measure(t *testing.T) (u usage) {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	u.descriptors, u.goroutines = len(descriptors), runtime.NumGoroutine()
	for p := range procfs.All() {
		if p.Parent == os.Getpid() {
			u.children++
		}
	}
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), "bridge-*", "p*"))
	if err != nil {
		t.Fatal(err)
	}
	u.sockets = len(folders)
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	u.memory = memoryBytes(string(status))
	return u
}

// TestLoadAndUnloadLeavesNothing loads a model, uses it and closes it many times, each fifth
// time with a process that dies. Afterwards there are as many descriptors, goroutines,
// processes and folders, and as much memory, as before.
func TestLoadAndUnloadLeavesNothing(t *testing.T) {
	needsProc(t)
	temporary, err := os.MkdirTemp("/tmp", "b") // a short name, and no other host's sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temporary)
	t.Setenv("TMPDIR", temporary)
	cycles := 20
	if testenv.Long() {
		cycles = 200
	}
	once := func(n int) {
		mode := "normal"
		if n%5 == 4 {
			mode = "crash once at loss"
		}
		m, err := OpenLanguage(t.Context(), config(t, mode, "language"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Loss(t.Context(), plugintest.LossRequest(true)); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 5 {
		once(n)
	}
	before := settled(t, func(usage) bool { return true })
	for n := range cycles {
		once(n)
	}
	// Memory has the collector's say in it: what a cycle sends and receives, 1 MB
	// each way, would show as soon as it were kept.
	after := settled(t, func(u usage) bool {
		return u.descriptors <= before.descriptors && u.goroutines <= before.goroutines && u.children <= before.children &&
			u.sockets <= before.sockets && u.memory <= before.memory+16<<20
	})
	t.Logf("after %d cycles: %+v, before: %+v", cycles, after, before)
	switch {
	case after.descriptors > before.descriptors, after.goroutines > before.goroutines, after.children > before.children,
		after.sockets > before.sockets, after.memory > before.memory+16<<20:
		t.Errorf("after %d cycles the host holds %+v, before %+v", cycles, after, before)
	}
}

// settled measures until the usage is good, or the last goroutines must have ended.
func settled(t *testing.T, good func(usage) bool) usage {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if u := measure(t); good(u) || time.Now().After(deadline) {
			return u
		}
	}
}
