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
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// arenas is the plugin's end of the two arenas, with the calls that use them. Nil means
// that there are none.
type arenas struct {
	in  []byte // from the host; a write to it faults
	out []byte // to the host

	mu      sync.Mutex
	running map[uint64]chan struct{} // by generation; closed when the call ends
	settled map[uint64]bool          // by generation; settled before the call came
}

// mapArenas maps the arenas that the host has passed to the process. If that fails, it
// logs the reason and returns nil: tensors then go through gRPC.
func mapArenas() *arenas {
	value := os.Getenv(wire.ArenasKey)
	if value == "" {
		return nil
	}
	a, err := newArenas(value)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no shared memory with the host:", err)
		return nil
	}
	return a
}

// newArenas maps the two descriptors in value, "FD:BYTES,FD:BYTES", and closes them. The
// mappings keep the memory, and a program that the plugin starts must not inherit it.
func newArenas(value string) (*arenas, error) {
	first, second, _ := strings.Cut(value, ",")
	a := &arenas{running: map[uint64]chan struct{}{}, settled: map[uint64]bool{}}
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
		return nil, fmt.Errorf("%s has %q, want a file descriptor and a size", wire.ArenasKey, value)
	}
	file := os.NewFile(uintptr(fd), "arena")
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != int64(size) {
		return nil, fmt.Errorf("the arena has %d bytes, %s says %d", info.Size(), wire.ArenasKey, size)
	}
	return unix.Mmap(fd, 0, size, protection, unix.MAP_SHARED)
}

// capabilities returns what the arenas add to the capabilities in the hello.
func (a *arenas) capabilities() []string {
	if a == nil {
		return nil
	}
	return []string{wire.CapArenas}
}

// lease is the share of one call in the arenas: a window for the handles of its request,
// which is the whole arena, and a part for its reply.
type lease struct {
	wire.Window
	arenas *arenas
	reply  wire.Window
	used   uint64 // bytes of the reply's part
	ended  chan struct{}
}

var _ wire.Shared = (*lease)(nil)

// begin returns the lease of a call that begins. The caller ends it.
func (a *arenas) begin(w *pb.Lease) (*lease, error) {
	whole := wire.Part{Bytes: uint64(len(a.out))}
	if w.Generation == 0 || w.Offset%wire.Alignment != 0 || !whole.Holds(w.Offset, w.Nbytes) {
		return nil, wire.ProtocolErrorf("the lease of %d bytes at byte %d, generation %d, is not valid", w.Nbytes, w.Offset, w.Generation)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.settled[w.Generation] {
		delete(a.settled, w.Generation)
		return nil, wire.ProtocolErrorf("the call of generation %d was given up before it came", w.Generation)
	}
	if a.running[w.Generation] != nil {
		return nil, wire.ProtocolErrorf("a call of generation %d is running", w.Generation)
	}
	l := &lease{arenas: a, ended: make(chan struct{})}
	l.Window = wire.Window{Arena: wire.ArenaToPlugin, Slot: w.Slot, Generation: w.Generation, Part: wire.Part{Bytes: uint64(len(a.in))}}
	l.reply = wire.Window{Arena: wire.ArenaToHost, Slot: w.Slot, Generation: w.Generation, Part: wire.Part{Offset: w.Offset, Bytes: w.Nbytes}}
	a.running[w.Generation] = l.ended
	return l, nil
}

// end marks the call as ended: it does not touch its lease any more.
func (l *lease) end() {
	l.arenas.mu.Lock()
	defer l.arenas.mu.Unlock()
	delete(l.arenas.running, l.Generation)
	close(l.ended)
}

// Put copies data into the reply's part and returns its handle, or nil if there is no room.
func (l *lease) Put(data []byte) *pb.Handle {
	offset, n := l.reply.Offset+l.used, uint64(len(data))
	if !l.reply.Holds(offset, n) {
		return nil
	}
	l.used = min(wire.Align(l.used+n), l.reply.Bytes)
	copy(wire.Part{Offset: offset, Bytes: n}.In(l.arenas.out), data)
	return l.reply.Handle(offset)
}

// Read returns a copy of a part of the request.
func (l *lease) Read(p wire.Part) ([]byte, error) { return slices.Clone(p.In(l.arenas.in)), nil }

// settle waits until the calls of the given generations have ended. A call that has not
// come yet will be refused.
func (a *arenas) settle(ctx context.Context, generations []uint64) error {
	var wait []chan struct{}
	a.mu.Lock()
	for _, g := range generations {
		if ended := a.running[g]; ended != nil {
			wait = append(wait, ended)
		} else {
			a.settled[g] = true
		}
	}
	a.mu.Unlock()
	for _, ended := range wait {
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
