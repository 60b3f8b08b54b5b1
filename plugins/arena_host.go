package plugins

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
)

// Transport says how the bytes of tensors travel between host and plugin. The
// values are the same to the last bit.
type Transport string

// The transports.
const (
	// TransportAuto is shared memory where host and plugin have it, else gRPC.
	// It is what the empty string means.
	TransportAuto Transport = "auto"
	// TransportShared is shared memory; a plugin without it is refused. What does
	// not fit into the arenas travels through gRPC nevertheless.
	TransportShared Transport = "shared-memory"
	// TransportGRPC is chunks in the stream of each call.
	TransportGRPC Transport = "grpc"
)

// Transports lists the values that a user can choose.
func Transports() []string {
	return []string{string(TransportAuto), string(TransportShared), string(TransportGRPC)}
}

// defaultArenaBytes holds several steps of the largest models at once.
const defaultArenaBytes = 1 << 30

// SharedMemory says why this machine has none for tensors; nil where it has.
func SharedMemory() error {
	a, err := newHostArenas(defaultArenaBytes, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	a.close()
	return nil
}

// hostArenas is the host's end of a process's two arenas. They live as long as
// the process: after a death nothing in them is believed.
type hostArenas struct {
	files []*os.File // to the plugin, to the host; the first until the process has it
	size  uint64
	log   *slog.Logger

	ctx    context.Context // ends with close
	cancel context.CancelFunc

	memory sync.RWMutex // held for writing by who unmaps
	in     []byte       // to the plugin; nil once unmapped
	out    []byte       // to the host

	mu         sync.Mutex
	generation uint64 // the last one given
	slots      []bool // that are taken
	toPlugin   allocator
	toHost     allocator
	copied     uint64 // bytes of tensors, in and out
}

// newHostArenas makes and maps two arenas of size bytes each.
func newHostArenas(size int64, log *slog.Logger) (_ *hostArenas, err error) {
	a := &hostArenas{size: uint64(size), log: log, toPlugin: allocator{size: uint64(size)}, toHost: allocator{size: uint64(size)}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.in, err = a.create(unix.PROT_READ | unix.PROT_WRITE); err != nil {
		return nil, err
	}
	if err := memfile.Seal(a.files[0], true); err != nil { // from here on only this mapping can write
		return nil, err
	}
	if a.out, err = a.create(unix.PROT_READ); err != nil {
		return nil, err
	}
	return a, memfile.Seal(a.files[1], false)
}

func (a *hostArenas) create(protection int) ([]byte, error) {
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

// handOver returns the files for the process's descriptors from first on, and
// the variable that names them. Nil arenas have none.
func (a *hostArenas) handOver(first int) ([]*os.File, []string) {
	if a == nil {
		return nil, nil
	}
	return slices.Clone(a.files), []string{fmt.Sprintf("%s=%d:%d,%d:%d", arenasKey, first, a.size, first+1, a.size)}
}

// started closes what only the process needed: the mapping keeps the memory.
func (a *hostArenas) started() {
	if a != nil {
		a.files[0].Close()
	}
}

// close drops the arenas; calls that still use them find them gone. The kernel
// frees the memory when the process has ended, too.
func (a *hostArenas) close() {
	if a == nil {
		return
	}
	a.cancel()
	a.memory.Lock()
	defer a.memory.Unlock()
	for _, f := range a.files {
		f.Close() // where it is closed already it says so
	}
	for _, m := range []*[]byte{&a.in, &a.out} {
		if *m != nil {
			_ = unix.Munmap(*m) // cannot fail: it is a whole mapping
			*m = nil
		}
	}
}

// hostLease is what one call has of the arenas: a window for the answer, and
// the parts that its request takes.
type hostLease struct {
	window
	arenas *hostArenas
	parts  []part
}

var _ shared = (*hostLease)(nil)

// lend reserves room bytes for the answer of a call, or none where there is no
// such room. The caller ends the lease.
func (a *hostArenas) lend(room uint64) *hostLease {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.generation++
	slot := slices.Index(a.slots, false)
	if slot < 0 {
		slot, a.slots = len(a.slots), append(a.slots, false)
	}
	a.slots[slot] = true
	l := &hostLease{arenas: a, window: window{arena: arenaToHost, slot: uint32(slot), generation: a.generation}}
	if room > 0 {
		l.part, _ = a.toHost.take(room)
	}
	return l
}

// room returns the bytes of a float32 tensor, the widest that an answer holds;
// 0 where its shape makes no sense.
func room(shape ...int) uint64 {
	sizes := make([]uint64, len(shape))
	for i, d := range shape {
		sizes[i] = uint64(max(0, d))
	}
	n, _ := product(sizes, uint64(adapters.Float32.Size()))
	return n
}

// wire announces the lease.
func (l *hostLease) wire() *pb.Lease {
	return &pb.Lease{Generation: l.generation, Slot: l.slot, Offset: l.offset, Nbytes: l.nbytes}
}

func (l *hostLease) put(data []byte) *pb.Handle {
	a := l.arenas
	a.mu.Lock()
	p, ok := a.toPlugin.take(uint64(len(data)))
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
	a.count(copy(p.in(a.in), data))
	request := window{arena: arenaToPlugin, slot: l.slot, generation: l.generation}
	return request.handle(p.offset)
}

func (l *hostLease) read(p part) ([]byte, error) {
	a := l.arenas
	a.memory.RLock()
	defer a.memory.RUnlock()
	if a.out == nil {
		return nil, errors.New("the arenas were dropped with the process")
	}
	a.count(int(p.nbytes))
	return slices.Clone(p.in(a.out)), nil
}

func (a *hostArenas) count(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.copied += uint64(n)
}

// keptBytes bounds the part whose pages are kept for the next call. Larger are
// the embeddings of a whole vocabulary, which are asked for once.
const keptBytes = 128 << 20

// free lets later calls have what a lease had.
func (a *hostArenas) free(l *hostLease) {
	if l.nbytes > keptBytes {
		a.giveBack(l.part)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slots[l.slot] = false
	if l.nbytes > 0 {
		a.toHost.free(l.part)
	}
	for _, p := range l.parts {
		a.toPlugin.free(p)
	}
}

// giveBack frees the pages of a part of the arena to the host.
func (a *hostArenas) giveBack(p part) {
	a.memory.RLock()
	defer a.memory.RUnlock()
	if a.out == nil {
		return
	}
	if err := memfile.Punch(a.files[1], int64(p.offset), int64(p.nbytes)); err != nil {
		a.log.Debug("the pages of a large answer stay", "bytes", p.nbytes, "error", err)
	}
}

// giveUp keeps a lease's parts from later calls until the plugin has left the
// call. It does not wait. Where the plugin does not answer they stay aside until
// its process ends.
func (a *hostArenas) giveUp(l *hostLease, client pb.AdapterClient) {
	go func() {
		_, err := client.Settle(a.ctx, &pb.SettleRequest{Generations: []uint64{l.generation}})
		if err == nil {
			a.free(l)
		} else if a.ctx.Err() == nil {
			a.log.Debug("what was lent to a call stays aside until the plugin ends", "error", err)
		}
	}()
}

// offerArenas makes the arenas of a process that is about to start, where its
// transport may use them.
func (i *instance) offerArenas() (err error) {
	if i.cfg.Transport == TransportGRPC {
		return nil
	}
	if i.arenas, err = newHostArenas(i.cfg.ArenaBytes, i.cfg.Logger); err != nil {
		return i.withoutArenas(err)
	}
	return nil
}

// agreeTransport drops the arenas if the plugin has not said that it uses them.
func (i *instance) agreeTransport() error {
	switch {
	case i.arenas != nil && slices.Contains(i.capabilities, capArenas):
		return nil
	case i.arenas == nil && i.cfg.Transport != TransportShared:
		return nil
	}
	return i.withoutArenas(errors.New("the plugin has not taken the shared memory"))
}

// withoutArenas leaves tensors to gRPC, or says why it cannot.
func (i *instance) withoutArenas(reason error) error {
	i.arenas.close()
	i.arenas = nil
	if i.cfg.Transport == TransportShared {
		return adapters.Errorf(adapters.Unsupported, "plugin %s: no shared memory: %w", i.cfg.Name, reason).WithOp("start").
			WithRemedy("the transport %q takes gRPC where there is none", TransportAuto)
	}
	i.cfg.Logger.Debug("tensors travel through gRPC", "reason", reason)
	return nil
}
