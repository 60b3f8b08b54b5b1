package wire

import (
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// An arena is a memory file that both processes map. The host and the plugin each have
// their end of the two arenas in a file arena.go of their own; this file has what
// handles mean on both ends.

// ArenasKey names the environment variable with the descriptors and sizes of both arenas.
const ArenasKey = "BRIDGE_ARENAS"

// CapArenas is the capability in a plugin's hello which says that it uses the arenas.
const CapArenas = "arenas"

// The numbers of the two arenas in handles.
const (
	ArenaToPlugin = 1
	ArenaToHost   = 2
)

// Alignment is the alignment of every tensor in an arena, in bytes.
const Alignment = 64

// Part is a range of an arena's bytes.
type Part struct{ Offset, Bytes uint64 }

// Holds reports whether the n bytes from offset on lie in p. It subtracts instead of
// adding, because a sum of numbers from the other side may wrap around.
func (p Part) Holds(offset, n uint64) bool {
	return offset >= p.Offset && offset-p.Offset <= p.Bytes && n <= p.Bytes-(offset-p.Offset)
}

// overlaps reports whether two parts of one arena have a byte in common.
func (p Part) overlaps(q Part) bool {
	return p.Bytes > 0 && q.Bytes > 0 && p.Offset < q.Offset+q.Bytes && q.Offset < p.Offset+p.Bytes
}

// In returns the part's bytes in an arena.
func (p Part) In(arena []byte) []byte { return arena[p.Offset : p.Offset+p.Bytes] }

// Align rounds n up to a multiple of [Alignment]. If that would wrap around, it returns
// n, which is too large for any arena.
func Align(n uint64) uint64 {
	if up := n + Alignment - 1; up >= n {
		return up / Alignment * Alignment
	}
	return n
}

// Window is the range in which the handles of one message may point: a part of an arena,
// for the duration of one call.
type Window struct {
	Part
	Arena      uint32
	Slot       uint32
	Generation uint64
}

// Find returns the part that a handle of n bytes names. It returns an error unless the
// part lies in the window.
func (w *Window) Find(h *pb.Handle, n uint64) (Part, error) {
	switch {
	case h.Arena != w.Arena:
		return Part{}, ProtocolErrorf("handle of arena %d, want arena %d", h.Arena, w.Arena)
	case h.Generation != w.Generation || h.Slot != w.Slot:
		return Part{}, ProtocolErrorf("handle of another call: generation %d in slot %d", h.Generation, h.Slot)
	case h.Offset%Alignment != 0:
		return Part{}, ProtocolErrorf("handle at byte %d, want a multiple of %d", h.Offset, Alignment)
	case !w.Holds(h.Offset, n):
		return Part{}, ProtocolErrorf("handle of %d bytes at byte %d, outside the part that was lent", n, h.Offset)
	}
	return Part{Offset: h.Offset, Bytes: n}, nil
}

// Handle returns a handle for the tensor at an offset of the window's arena.
func (w *Window) Handle(offset uint64) *pb.Handle {
	return &pb.Handle{Arena: w.Arena, Slot: w.Slot, Generation: w.Generation, Offset: offset}
}

// Shared is one end of the shared memory of one call.
type Shared interface {
	// Put copies data in and returns its handle, or nil if there is no room.
	Put(data []byte) *pb.Handle
	// Find checks a handle of n bytes from the other side and returns its part.
	Find(h *pb.Handle, n uint64) (Part, error)
	// Read returns a copy of the bytes of a part that Find has returned.
	Read(p Part) ([]byte, error)
}
