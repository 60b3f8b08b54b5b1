package plugins

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// guestArenas is the plugin's end of the two arenas, and the calls that use
// them. Nil stands for none.
type guestArenas struct {
	in  []byte // from the host; a write to it faults
	out []byte // to the host

	mu      sync.Mutex
	running map[uint64]chan struct{} // by generation; closed when the call is left
	refused map[uint64]bool          // settled before they came
}

// mapArenas maps what the host has handed over. Where that fails the plugin
// does without, and says so in its log.
func mapArenas() *guestArenas {
	value := os.Getenv(arenasKey)
	if value == "" {
		return nil
	}
	a, err := newGuestArenas(value)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no shared memory with the host:", err)
		return nil
	}
	return a
}

// newGuestArenas maps the descriptors that value, "FD:BYTES,FD:BYTES", names. It
// closes them: the mappings hold the memory, and a child must not.
func newGuestArenas(value string) (*guestArenas, error) {
	first, second, _ := strings.Cut(value, ",")
	a := &guestArenas{running: map[uint64]chan struct{}{}, refused: map[uint64]bool{}}
	var err error
	if a.in, err = mapArena(first, unix.PROT_READ); err != nil {
		return nil, err
	}
	if a.out, err = mapArena(second, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		_ = unix.Munmap(a.in)
		return nil, err
	}
	return a, nil
}

func mapArena(value string, protection int) ([]byte, error) {
	number, bytes, _ := strings.Cut(value, ":")
	fd, err := strconv.Atoi(number)
	size, err2 := strconv.Atoi(bytes)
	if err != nil || err2 != nil || fd < 3 || size <= 0 {
		return nil, fmt.Errorf("%s has %q, want a file descriptor and a size", arenasKey, value)
	}
	file := os.NewFile(uintptr(fd), "arena")
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != int64(size) {
		return nil, fmt.Errorf("the arena has %d bytes, %s says %d", info.Size(), arenasKey, size)
	}
	return unix.Mmap(fd, 0, size, protection, unix.MAP_SHARED)
}

// capabilities are those that the plugin has by its arenas.
func (a *guestArenas) capabilities() []string {
	if a == nil {
		return nil
	}
	return []string{capArenas}
}

// guestLease is what one call has of the arenas: a window for its request's
// handles, which is the whole arena, and a part for its answer.
type guestLease struct {
	window
	arenas *guestArenas
	answer window
	used   uint64 // bytes of the answer's part
	left   chan struct{}
}

var _ shared = (*guestLease)(nil)

// enter begins a call. The caller leaves it.
func (a *guestArenas) enter(w *pb.Lease) (*guestLease, error) {
	outside := part{0, uint64(len(a.out))}
	if w.Generation == 0 || w.Offset%alignment != 0 || !outside.holds(w.Offset, w.Nbytes) {
		return nil, protocolErrorf("the lease of %d bytes at byte %d, generation %d, is none", w.Nbytes, w.Offset, w.Generation)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused[w.Generation] {
		delete(a.refused, w.Generation)
		return nil, protocolErrorf("the call of generation %d was given up before it came", w.Generation)
	}
	if a.running[w.Generation] != nil {
		return nil, protocolErrorf("a call of generation %d is running", w.Generation)
	}
	l := &guestLease{arenas: a, left: make(chan struct{})}
	l.window = window{arena: arenaToPlugin, slot: w.Slot, generation: w.Generation, part: part{0, uint64(len(a.in))}}
	l.answer = window{arena: arenaToHost, slot: w.Slot, generation: w.Generation, part: part{w.Offset, w.Nbytes}}
	a.running[w.Generation] = l.left
	return l, nil
}

// leave ends a call: what was lent to it is not touched any more.
func (l *guestLease) leave() {
	l.arenas.mu.Lock()
	defer l.arenas.mu.Unlock()
	delete(l.arenas.running, l.generation)
	close(l.left)
}

func (l *guestLease) put(data []byte) *pb.Handle {
	offset, n := l.answer.offset+l.used, uint64(len(data))
	if !l.answer.holds(offset, n) {
		return nil
	}
	l.used = min(aligned(l.used+n), l.answer.nbytes)
	copy(part{offset, n}.in(l.arenas.out), data)
	return l.answer.handle(offset)
}

func (l *guestLease) read(p part) ([]byte, error) { return slices.Clone(p.in(l.arenas.in)), nil }

// settle returns when the calls that are named have been left. One that has not
// come is refused should it come.
func (a *guestArenas) settle(ctx context.Context, generations []uint64) error {
	var wait []chan struct{}
	a.mu.Lock()
	for _, g := range generations {
		if left := a.running[g]; left != nil {
			wait = append(wait, left)
		} else {
			a.refused[g] = true
		}
	}
	a.mu.Unlock()
	for _, left := range wait {
		select {
		case <-left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
