package fleet

import (
	"fmt"
	"maps"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/workspace"
)

// makeRoom returns the entry of a name, and closes other bridges if its bridge would not fit.
func (f *Fleet) makeRoom(name string) (*entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.find(name)
	if e == nil {
		return nil, ErrUnknown
	}
	if e.open != nil || e.parts == nil {
		return e, nil
	}
	f.evict(e.parts)
	if f.options.Memory > 0 && f.loaded() > 0 && f.memory(e.parts) > f.options.Memory {
		return nil, adapters.Errorf(adapters.Exhausted, "there is no memory for another bridge now: all that are open are in use").
			WithRemedy("try again later, or raise the memory budget")
	}
	return e, nil
}

// parts are the bytes of what a bridge holds: its own weights under its name, and its frozen models
// under what identifies them, so that a shared one counts once.
type parts map[string]int64

// partsOf returns estimates of the memory of an open bridge.
func partsOf(m *workspace.Model) parts {
	p := parts{"bridge " + m.Dir: int64(m.Store().ByteSize())}
	for _, s := range []adapters.Spec{m.Vision.Spec().Spec, m.Language.Spec().Spec} {
		p[fmt.Sprint(s.Kind, s.ID, s.Digest, s.DType, s.Backend)] = s.MemoryBytes
	}
	return p
}

// evict closes unused bridges until there is room for more parts, the least recently used one first.
// The caller holds mu.
func (f *Fleet) evict(more parts) {
	if f.options.Memory <= 0 {
		return
	}
	for f.memory(more) > f.options.Memory {
		var candidates []*entry
		for _, e := range f.entries {
			if e.open != nil && e.open.leases == 0 {
				candidates = append(candidates, e)
			}
		}
		if len(candidates) == 0 {
			return
		}
		oldest := slices.MinFunc(candidates, func(a, b *entry) int { return a.open.used.Compare(b.open.used) })
		f.options.Log.Info("closing the bridge that was used longest ago, to keep to the memory budget", "model", oldest.Name)
		f.evicted++
		f.drop(oldest)
	}
}

// memory returns the estimated bytes of all open bridges, with more parts. The caller holds mu.
func (f *Fleet) memory(more parts) int64 {
	all := maps.Clone(more)
	if all == nil {
		all = parts{}
	}
	for _, e := range f.entries {
		if e.open != nil {
			maps.Copy(all, e.parts)
		}
	}
	var total int64
	for _, bytes := range all {
		total += bytes
	}
	return total
}

func (f *Fleet) loaded() int {
	n := 0
	for _, e := range f.entries {
		if e.open != nil {
			n++
		}
	}
	return n
}
