package plugins

import (
	"slices"

	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// This file has what both ends of the arenas share: where a handle may point,
// and which parts of an arena are taken. arena_host.go and arena_guest.go have
// the two ends.

const (
	arenasKey = "BRIDGE_ARENAS"
	capArenas = "arenas"

	arenaToPlugin = 1
	arenaToHost   = 2

	// alignment is that of every tensor in an arena, in bytes.
	alignment = 64
)

// part is a range of an arena's bytes.
type part struct{ offset, nbytes uint64 }

// holds reports whether the n bytes from offset on lie in p. It subtracts, for a
// sum of what the other side says may wrap around.
func (p part) holds(offset, n uint64) bool {
	return offset >= p.offset && offset-p.offset <= p.nbytes && n <= p.nbytes-(offset-p.offset)
}

// overlaps reports whether two parts of one arena have a byte in common.
func (p part) overlaps(q part) bool {
	return p.nbytes > 0 && q.nbytes > 0 && p.offset < q.offset+q.nbytes && q.offset < p.offset+p.nbytes
}

// in returns the part's bytes of an arena that holds it.
func (p part) in(arena []byte) []byte { return arena[p.offset : p.offset+p.nbytes] }

// aligned rounds up to a multiple of alignment; what would wrap around stays too
// large for any arena.
func aligned(n uint64) uint64 {
	if up := n + alignment - 1; up >= n {
		return up / alignment * alignment
	}
	return n
}

// window is where the handles of one message may point: a part of an arena, as
// long as one call lasts.
type window struct {
	part
	arena      uint32
	slot       uint32
	generation uint64
}

// find checks a handle of n bytes against the window. It believes no number.
func (w *window) find(h *pb.Handle, n uint64) (part, error) {
	switch {
	case h.Arena != w.arena:
		return part{}, protocolErrorf("handle of arena %d, want arena %d", h.Arena, w.arena)
	case h.Generation != w.generation || h.Slot != w.slot:
		return part{}, protocolErrorf("handle of another call: generation %d in slot %d", h.Generation, h.Slot)
	case h.Offset%alignment != 0:
		return part{}, protocolErrorf("handle at byte %d, want a multiple of %d", h.Offset, alignment)
	case !w.holds(h.Offset, n):
		return part{}, protocolErrorf("handle of %d bytes at byte %d, outside the part that was lent", n, h.Offset)
	}
	return part{h.Offset, n}, nil
}

// handle returns one for a part of the window's arena.
func (w *window) handle(offset uint64) *pb.Handle {
	return &pb.Handle{Arena: w.arena, Slot: w.slot, Generation: w.generation, Offset: offset}
}

// shared is the shared memory of one call, as one end sees it.
type shared interface {
	// put copies data in and says where it is; nil where there is no room.
	put(data []byte) *pb.Handle
	// find checks a handle of n bytes that the other side has sent.
	find(h *pb.Handle, n uint64) (part, error)
	// read returns a copy of what find has found.
	read(p part) ([]byte, error)
}

// allocator knows the parts of an arena that are taken. A part goes to the
// lowest place where it fits, so that equal steps use the same pages again and
// the arena has no more pages than it once held bytes.
type allocator struct {
	size  uint64
	taken []part // by offset, none touching another's bytes
}

// take reserves n bytes, rounded up; n must be above 0.
func (a *allocator) take(n uint64) (part, bool) {
	n = aligned(n)
	var from uint64
	for i, p := range a.taken {
		if n <= p.offset-from {
			return a.insert(i, part{from, n}), true
		}
		from = p.offset + p.nbytes
	}
	if n > a.size-from {
		return part{}, false
	}
	return a.insert(len(a.taken), part{from, n}), true
}

func (a *allocator) insert(i int, p part) part {
	a.taken = slices.Insert(a.taken, i, p)
	return p
}

// free gives a part back that take has returned.
func (a *allocator) free(p part) {
	if i := slices.Index(a.taken, p); i >= 0 {
		a.taken = slices.Delete(a.taken, i, i+1)
	}
}
