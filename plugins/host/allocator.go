package host

import (
	"slices"

	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// allocator hands out the parts of an arena. A part goes to the lowest place where it
// fits, so that equal steps use the same pages again, and the arena has no more pages
// than it has held bytes at once.
type allocator struct {
	size uint64
	used []wire.Part // by offset, without overlaps
}

// alloc reserves n bytes, which must be above 0, rounded up to the alignment.
func (a *allocator) alloc(n uint64) (wire.Part, bool) {
	n = wire.Align(n)
	var from uint64
	for i, p := range a.used {
		if n <= p.Offset-from {
			return a.insert(i, wire.Part{Offset: from, Bytes: n}), true
		}
		from = p.Offset + p.Bytes
	}
	if n > a.size-from {
		return wire.Part{}, false
	}
	return a.insert(len(a.used), wire.Part{Offset: from, Bytes: n}), true
}

func (a *allocator) insert(i int, p wire.Part) wire.Part {
	a.used = slices.Insert(a.used, i, p)
	return p
}

// free makes a part that alloc has returned available again.
func (a *allocator) free(p wire.Part) {
	if i := slices.Index(a.used, p); i >= 0 {
		a.used = slices.Delete(a.used, i, i+1)
	}
}
