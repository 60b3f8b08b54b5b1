package host

import (
	"log/slog"
	"math"
	"os"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// testArenas returns arenas without a process.
func testArenas(t testing.TB, size int64) *arenas {
	t.Helper()
	a, err := newArenas(size, slog.New(slog.DiscardHandler))
	if err != nil {
		testenv.Lacking(t, "memory files that can be sealed", err)
	}
	t.Cleanup(a.close)
	return a
}

// Equal steps use equal places, and freed parts can be allocated as one.
func TestPartsAreUsedAgain(t *testing.T) {
	t.Parallel()
	a := allocator{size: 1024}
	take := func(n uint64) wire.Part {
		t.Helper()
		p, ok := a.alloc(n)
		if !ok {
			t.Fatalf("no room for %d bytes among %v", n, a.used)
		}
		return p
	}
	first, second, third := take(100), take(64), take(500)
	if first != (wire.Part{Offset: 0, Bytes: 128}) || second != (wire.Part{Offset: 128, Bytes: 64}) || third != (wire.Part{Offset: 192, Bytes: 512}) {
		t.Errorf("got %v, %v, %v", first, second, third)
	}
	for _, n := range []uint64{321, 1 << 20, math.MaxUint64, math.MaxUint64 - 63} {
		if p, ok := a.alloc(n); ok {
			t.Errorf("%d bytes are at %v, with 320 left", n, p)
		}
	}
	a.free(second)
	if again := take(1); again != (wire.Part{Offset: 128, Bytes: 64}) {
		t.Errorf("the gap is not used: %v", again)
	}
	a.free(first)
	a.free(third)
	a.free(wire.Part{Offset: 128, Bytes: 64})
	a.free(wire.Part{Offset: 128, Bytes: 64}) // twice does no harm
	for range 3 {
		whole := take(1024)
		a.free(whole)
	}
	if len(a.used) != 0 {
		t.Errorf("left: %v", a.used)
	}
}

// An abandoned call keeps its parts, and only its own.
func TestGenerationsAreNeverReused(t *testing.T) {
	t.Parallel()
	host := testArenas(t, 1<<16)
	seen := map[uint64]bool{}
	kept := host.lease(4096)
	for range 100 {
		l := host.lease(4096)
		if l.Generation == 0 || l.Generation == kept.Generation || seen[l.Generation] {
			t.Fatalf("generation %d again", l.Generation)
		}
		if l.Slot == kept.Slot || l.Offset < kept.Offset+kept.Bytes && kept.Offset < l.Offset+l.Bytes || l.Slot > 1 {
			t.Fatalf("slot %d at %v beside slot %d at %v", l.Slot, l.Part, kept.Slot, kept.Part)
		}
		seen[l.Generation] = true
		host.free(l)
	}
	if l := host.lease(1 << 16); l.Bytes != 0 {
		t.Errorf("lent %v while a part is taken", l.Part)
	}
}

func TestTransportIsChecked(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Launch(t.Context(), Config{Path: path, Transport: "pigeon"})
	plugintest.WantError(t, err, adapters.Invalid, `"pigeon"`, "shared-memory")
	_, err = Launch(t.Context(), Config{Path: path, ArenaBytes: -1})
	plugintest.WantError(t, err, adapters.Invalid, "-1 bytes")
}
