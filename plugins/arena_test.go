package plugins

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/internal/memfile"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// testArenas returns two arenas of size bytes, as a host passes them to the plugin.
func testArenas(t testing.TB, size int64) *arenas {
	t.Helper()
	var ends []string
	for range 2 {
		file, err := memfile.New(size)
		if err != nil {
			testenv.Lacking(t, "memory files that can be sealed", err)
		}
		defer file.Close()
		fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3) // newArenas closes it
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, fmt.Sprintf("%d:%d", fd, size))
	}
	a, err := newArenas(strings.Join(ends, ","))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Munmap(a.in)
		_ = unix.Munmap(a.out)
	})
	return a
}

func wantProtocolError(t *testing.T, what string, err error, text string) {
	t.Helper()
	var broken *wire.ProtocolError
	if !errors.As(err, &broken) || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v, want a protocol error with %q", what, err, text)
	}
}

func TestLeasesAreChecked(t *testing.T) {
	t.Parallel()
	guest := testArenas(t, 1<<16)
	for name, w := range map[string]*pb.Lease{
		"no generation": {Nbytes: 64},
		"not aligned":   {Generation: 1, Offset: 32, Nbytes: 64},
		"too long":      {Generation: 1, Nbytes: 1<<16 + 1},
		"far":           {Generation: 1, Offset: 1<<16 + 64},
		"at 2**64-64":   {Generation: 1, Offset: math.MaxUint64 - 63, Nbytes: 128},
		"2**64-32":      {Generation: 1, Offset: 64, Nbytes: math.MaxUint64 - 31},
	} {
		_, err := guest.begin(w)
		wantProtocolError(t, name, err, "is not valid")
	}
	good := &pb.Lease{Generation: 1, Offset: 64, Nbytes: 64}
	l, err := guest.begin(good)
	if err != nil {
		t.Fatal(err)
	}
	_, err = guest.begin(good)
	wantProtocolError(t, "twice", err, "is running")
	l.end()
}

// Settle waits for running calls, and refuses those that have not come.
func TestSettle(t *testing.T) {
	t.Parallel()
	guest := testArenas(t, 1<<16)
	running, err := guest.begin(&pb.Lease{Generation: 7})
	if err != nil {
		t.Fatal(err)
	}
	settled := make(chan error, 1)
	go func() { settled <- guest.settle(t.Context(), []uint64{7, 8}) }()
	for { // until settle was called
		guest.mu.Lock()
		asked := guest.settled[8]
		guest.mu.Unlock()
		if asked {
			break
		}
	}
	_, err = guest.begin(&pb.Lease{Generation: 8})
	wantProtocolError(t, "late", err, "given up before it came")
	select {
	case err := <-settled:
		t.Fatalf("settled during the call: %v", err)
	default:
	}
	running.end()
	if err := <-settled; err != nil {
		t.Error(err)
	}
}

func TestArenaVariableIsChecked(t *testing.T) {
	t.Parallel()
	file, err := memfile.New(4096)
	if err != nil {
		testenv.Lacking(t, "memory files", err)
	}
	defer file.Close()
	for _, value := range []string{"", "x", "3", ":", "2:4096,2:4096", "-1:4096", "4:-4096", "999999:4096,999999:4096",
		fmt.Sprintf("%d:8192,%d:4096", file.Fd(), file.Fd())} {
		if value == fmt.Sprintf("%d:8192,%d:4096", file.Fd(), file.Fd()) {
			fd, err := unix.Dup(int(file.Fd())) // it will be closed
			if err != nil {
				t.Fatal(err)
			}
			value = fmt.Sprintf("%d:8192,%d:4096", fd, fd)
		}
		if a, err := newArenas(value); err == nil {
			t.Errorf("%q: got arenas of %d and %d bytes", value, len(a.in), len(a.out))
		}
	}
}

// FuzzLease compares the checks of a lease, and of a request's handle, with the same
// conditions in integers that cannot wrap around. The tensors that the plugin then puts
// into the lease are inside it, aligned, do not overlap, and can be read.
func FuzzLease(f *testing.F) {
	const size, far = 1 << 14, math.MaxUint64
	add := func(generation, offset, nbytes, at, n uint64, puts ...byte) {
		f.Add(generation, offset, nbytes, at, n, puts)
	}
	add(1, 0, size, 0, 64, 64, 1, 0, 200)
	add(1, 128, 256, 64, 100, 100, 100, 100)
	add(0, 0, 64, 0, 1, 1)              // no generation
	add(1, 32, 64, 0, 1, 1)             // not aligned
	add(1, 0, size+1, 0, 1, 1)          // too long
	add(1, size, 0, size, 0, 0)         // empty, at the end
	add(1, size, 64, size-64, 65, 1)    // beyond it
	add(1, size+64, 0, size+64, 0, 1)   // an empty one beyond it
	add(1, far-63, 64, far-63, 64, 1)   // ends at 2**64
	add(1, far-63, 128, far-63, 128, 1) // the end wraps around
	add(1, 64, far-31, 0, far-31, 1)
	add(far, 64, 63, 33, 1, 63, 64)
	guest := testArenas(f, size)
	f.Fuzz(func(t *testing.T, generation, offset, nbytes, at, n uint64, puts []byte) {
		fits := func(offset, n uint64) bool {
			end := new(big.Int).Add(new(big.Int).SetUint64(offset), new(big.Int).SetUint64(n))
			return offset%wire.Alignment == 0 && end.Cmp(big.NewInt(size)) <= 0
		}
		w := &pb.Lease{Generation: generation, Slot: 3, Offset: offset, Nbytes: nbytes}
		l, err := guest.begin(w)
		if good := generation != 0 && fits(offset, nbytes); good != (err == nil) {
			t.Fatalf("%d bytes at %d of generation %d: got %v", nbytes, offset, generation, err)
		}
		if err != nil {
			return
		}
		defer l.end()
		place, err := l.Find(&pb.Handle{Arena: wire.ArenaToPlugin, Slot: 3, Generation: generation, Offset: at}, n)
		if good := fits(at, n); good != (err == nil) {
			t.Fatalf("a request's %d bytes at %d: got %v", n, at, err)
		}
		if err == nil {
			if data, err := l.Read(place); err != nil || uint64(len(data)) != n {
				t.Fatalf("read %d bytes of %d: %v", len(data), n, err)
			}
		}
		var used []wire.Part
		for _, n := range puts[:min(len(puts), 64)] {
			if n == 0 {
				continue // it needs no room
			}
			data := bytes.Repeat([]byte{n}, int(n))
			h := l.Put(data)
			if h == nil {
				continue
			}
			p := wire.Part{Offset: h.Offset, Bytes: uint64(n)}
			if h.Arena != wire.ArenaToHost || h.Slot != 3 || h.Generation != generation || h.Offset%wire.Alignment != 0 || !(wire.Part{Offset: offset, Bytes: nbytes}).Holds(p.Offset, p.Bytes) {
				t.Fatalf("%d bytes were put at %+v, the lease is %+v", n, h, w)
			}
			overlaps := func(q wire.Part) bool { return p.Offset < q.Offset+q.Bytes && q.Offset < p.Offset+p.Bytes }
			if i := slices.IndexFunc(used, overlaps); i >= 0 {
				t.Fatalf("%+v overlaps %+v", p, used[i])
			}
			if used = append(used, p); !bytes.Equal(p.In(guest.out), data) {
				t.Fatalf("%+v has %x", p, p.In(guest.out))
			}
		}
	})
}
