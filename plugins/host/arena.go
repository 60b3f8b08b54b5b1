package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/memfile"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// defaultArenaBytes is enough for several steps of the largest models at once.
const defaultArenaBytes = 1 << 30

// arenas is the host's end of a process's two arenas. They are used for one process
// only: after a death nothing in them is reliable.
type arenas struct {
	files []*os.File // to the plugin, to the host; the first is closed once the process has it
	size  uint64
	log   *slog.Logger

	ctx    context.Context // ends with close
	cancel context.CancelFunc

	memory sync.RWMutex // locked for writing to unmap
	in     []byte       // to the plugin; nil once unmapped
	out    []byte       // to the host

	mu         sync.Mutex
	generation uint64 // the last one in use
	slots      []bool // true if in use
	toPlugin   allocator
	toHost     allocator
	copied     uint64 // bytes of tensors, in and out
}

// newArenas makes and maps two arenas of size bytes each.
func newArenas(size int64, log *slog.Logger) (_ *arenas, err error) {
	a := &arenas{size: uint64(size), log: log, toPlugin: allocator{size: uint64(size)}, toHost: allocator{size: uint64(size)}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.in, err = a.create(unix.PROT_READ | unix.PROT_WRITE); err != nil {
		return nil, err
	}
	if err := memfile.Seal(a.files[0], true); err != nil { // from now on only this mapping can write
		return nil, err
	}
	if a.out, err = a.create(unix.PROT_READ); err != nil {
		return nil, err
	}
	return a, memfile.Seal(a.files[1], false)
}

func (a *arenas) create(protection int) ([]byte, error) {
	file, err := memfile.New(int64(a.size))
	if err != nil {
		return nil, err
	}
	a.files = append(a.files, file)
	memory, err := unix.Mmap(int(file.Fd()), 0, int(a.size), protection, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	return memory, nil
}

// childFiles returns the files for the process's descriptors from first on, and the
// environment variable that names them. Nil arenas have none.
func (a *arenas) childFiles(first int) ([]*os.File, []string) {
	if a == nil {
		return nil, nil
	}
	return slices.Clone(a.files), []string{fmt.Sprintf("%s=%d:%d,%d:%d", wire.ArenasKey, first, a.size, first+1, a.size)}
}

// closeChildFiles closes the file that only the process needed. The mapping keeps the
// memory.
func (a *arenas) closeChildFiles() {
	if a != nil {
		a.files[0].Close()
	}
}

// close unmaps the arenas. Calls that still use them get errors. The kernel frees the
// memory when the process has ended, too.
func (a *arenas) close() {
	if a == nil {
		return
	}
	a.cancel()
	a.memory.Lock()
	defer a.memory.Unlock()
	for _, f := range a.files {
		f.Close() // the first may be closed already
	}
	for _, m := range []*[]byte{&a.in, &a.out} {
		if *m != nil {
			_ = unix.Munmap(*m) // cannot fail: it is a whole mapping
			*m = nil
		}
	}
}

// lease is the share of one call in the arenas: a window for the reply, and the parts
// that hold its request.
type lease struct {
	wire.Window
	arenas *arenas
	parts  []wire.Part
}

var _ wire.Shared = (*lease)(nil)

// lease reserves replyBytes for the reply of a call, or nothing if there is no room. The
// caller frees or abandons the lease.
func (a *arenas) lease(replyBytes uint64) *lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.generation++
	slot := slices.Index(a.slots, false)
	if slot < 0 {
		slot, a.slots = len(a.slots), append(a.slots, false)
	}
	a.slots[slot] = true
	l := &lease{arenas: a, Window: wire.Window{Arena: wire.ArenaToHost, Slot: uint32(slot), Generation: a.generation}}
	if replyBytes > 0 {
		l.Part, _ = a.toHost.alloc(replyBytes)
	}
	return l
}

// tensorBytes returns the size of a float32 tensor, which has the widest elements in
// replies, or 0 if the shape is not valid.
func tensorBytes(shape ...int) uint64 {
	sizes := make([]uint64, len(shape))
	for i, d := range shape {
		sizes[i] = uint64(max(0, d))
	}
	n, _ := wire.TensorBytes(sizes, uint64(adapters.Float32.Size()))
	return n
}

// proto returns the lease as a message.
func (l *lease) proto() *pb.Lease {
	return &pb.Lease{Generation: l.Generation, Slot: l.Slot, Offset: l.Offset, Nbytes: l.Bytes}
}

// Put copies data into the arena and returns its handle, or nil if there is no room.
func (l *lease) Put(data []byte) *pb.Handle {
	a := l.arenas
	a.mu.Lock()
	p, ok := a.toPlugin.alloc(uint64(len(data)))
	a.mu.Unlock()
	if !ok {
		return nil
	}
	l.parts = append(l.parts, p)
	a.memory.RLock()
	defer a.memory.RUnlock()
	if a.in == nil {
		return nil
	}
	a.count(copy(p.In(a.in), data))
	request := wire.Window{Arena: wire.ArenaToPlugin, Slot: l.Slot, Generation: l.Generation}
	return request.Handle(p.Offset)
}

// Read returns a copy of a part of the reply.
func (l *lease) Read(p wire.Part) ([]byte, error) {
	a := l.arenas
	a.memory.RLock()
	defer a.memory.RUnlock()
	if a.out == nil {
		return nil, errors.New("the arenas were unmapped with the end of the process")
	}
	a.count(int(p.Bytes))
	return slices.Clone(p.In(a.out)), nil
}

func (a *arenas) count(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.copied += uint64(n)
}

// retainedBytes is the largest part whose pages stay for the next call. The embeddings of
// a whole vocabulary are larger, and needed once.
const retainedBytes = 128 << 20

// free makes the parts of a lease available to later calls.
func (a *arenas) free(l *lease) {
	if l.Bytes > retainedBytes {
		a.freePages(l.Part)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slots[l.Slot] = false
	if l.Bytes > 0 {
		a.toHost.free(l.Part)
	}
	for _, p := range l.parts {
		a.toPlugin.free(p)
	}
}

// freePages frees the pages of a part of the arena to the host. They read as zeros
// afterwards.
func (a *arenas) freePages(p wire.Part) {
	a.memory.RLock()
	defer a.memory.RUnlock()
	if a.out == nil {
		return
	}
	if err := memfile.Punch(a.files[1], int64(p.Offset), int64(p.Bytes)); err != nil {
		a.log.Debug("the pages of a large reply are not freed", "bytes", p.Bytes, "error", err)
	}
}

// abandon frees a lease as soon as the plugin has settled the call. It does not wait. If
// the plugin does not answer, the lease's parts stay reserved until the process ends.
func (a *arenas) abandon(l *lease, client pb.AdapterClient) {
	go func() {
		_, err := client.Settle(a.ctx, &pb.SettleRequest{Generations: []uint64{l.Generation}})
		if err == nil {
			a.free(l)
		} else if a.ctx.Err() == nil {
			a.log.Debug("the lease of an abandoned call stays reserved until the plugin ends", "error", err)
		}
	}()
}
