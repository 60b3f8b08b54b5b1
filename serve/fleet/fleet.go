package fleet

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/workspace"
)

// Entry says which bridge a name stands for, and how to open it.
type Entry struct {
	Name  string // that clients use
	Model string // a MODEL of the command line
	Open  workspace.OpenOptions
}

// Options are the settings of a fleet.
type Options struct {
	Workspace *workspace.Workspace
	// Memory bounds the bytes that the open bridges and their frozen models take together, by
	// the estimates of their specs; 0 is no limit. Beyond it, the bridge that was used longest
	// ago is closed, unless somebody uses it.
	Memory int64
	Log    *slog.Logger
	// Closed, if not nil, is called with each language model that no bridge uses any more. Calls
	// may come at the same time.
	Closed func(adapters.LanguageModel)
}

// Fleet is a set of bridges. Its methods are safe for concurrent use.
type Fleet struct {
	options Options
	pool    workspace.Pool

	opening chan struct{}   // of size 1, full while a bridge is opened: one at a time
	ctx     context.Context // ends with Close
	end     context.CancelFunc

	mu      sync.Mutex
	entries []*entry         // in the order of the configuration
	live    map[*Bridge]bool // those that are not closed
	closing sync.WaitGroup
	opened  int64 // bridges that were ever opened
	evicted int64
}

// entry is a name with its open bridge, if there is one.
type entry struct {
	Entry
	open   *Bridge // nil: not loaded
	parts  parts   // of the bridge when it was last open; nil before
	failed error   // of the last attempt to open it
	tried  time.Time
	stamp  string // of its files when it was opened; empty if it was opened for another entry
}

// Bridge is an open bridge.
type Bridge struct {
	*workspace.Model
	Name   string
	Opened time.Time

	leases  int // and one of the entry
	used    time.Time
	dropped bool // no entry holds it
	closed  bool
}

// Lease keeps a bridge open. Release ends it.
type Lease struct {
	*Bridge
	release func()
}

// Release gives the bridge back. It may be called more than once.
func (l *Lease) Release() { l.release() }

// New returns a fleet without bridges.
func New(o Options) *Fleet {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{options: o, live: map[*Bridge]bool{}, opening: make(chan struct{}, 1)}
	f.ctx, f.end = context.WithCancel(context.Background())
	return f
}

// Set replaces the fleet's entries. New entries are not loaded yet; the bridges of entries that are
// gone are closed when nobody uses them. An entry that is opened otherwise than before serves the old
// bridge until [Fleet.Refresh] has opened the new one.
func (f *Fleet) Set(entries []Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var next []*entry
	for _, e := range entries {
		e.Open.Pool = &f.pool
		if i := slices.IndexFunc(f.entries, func(old *entry) bool { return reflect.DeepEqual(old.Entry, e) }); i >= 0 {
			next = append(next, f.entries[i])
			continue
		}
		n := &entry{Entry: e}
		if old := f.find(e.Name); old != nil {
			n.open, n.parts, old.open = old.open, old.parts, nil
		}
		next = append(next, n)
	}
	for _, old := range f.entries {
		if !slices.Contains(next, old) {
			f.drop(old)
		}
	}
	f.entries = next
}

// Names returns the names of all entries, in order.
func (f *Fleet) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, len(f.entries))
	for i, e := range f.entries {
		names[i] = e.Name
	}
	return names
}

func (f *Fleet) find(name string) *entry {
	if i := slices.IndexFunc(f.entries, func(e *entry) bool { return e.Name == name }); i >= 0 {
		return f.entries[i]
	}
	return nil
}

// ErrUnknown is the error for a name that no entry has.
var ErrUnknown = adapters.Errorf(adapters.NotFound, "no such model")

// drop takes the bridge of an entry out of use. The caller holds mu.
func (f *Fleet) drop(e *entry) {
	if e.open == nil {
		return
	}
	b := e.open
	e.open = nil
	b.dropped = true
	f.closeUnused(b)
}

// closeUnused closes a bridge that no entry and no lease holds. The caller holds mu.
func (f *Fleet) closeUnused(b *Bridge) {
	if !b.dropped || b.closed || b.leases > 0 {
		return
	}
	b.closed = true
	delete(f.live, b)
	last := !f.uses(b.Language)
	f.closing.Go(func() {
		b.Model.Close()
		if last && f.options.Closed != nil {
			f.options.Closed(b.Language)
		}
	})
}

// uses reports whether a bridge that is not closed has a language model. The caller holds mu.
func (f *Fleet) uses(l adapters.LanguageModel) bool {
	for b := range f.live {
		if b.Language == l {
			return true
		}
	}
	return false
}

// Close closes all bridges and waits until they are closed. Leases that are not released keep
// theirs open. Later calls find no bridge.
func (f *Fleet) Close() {
	f.end()
	f.Set(nil)
	f.opening <- struct{}{} // the bridge that is being opened finds that its entry is gone
	f.endOpening()
	f.closing.Wait()
}

// Status describes an entry.
type Status struct {
	Name   string
	Loaded bool
	Err    error   // of the last attempt to open it; nil if it succeeded or there was none
	Bridge *Bridge // nil unless loaded; it may be closed at any time, so only its spec may be read
	Leases int
}

// Status describes all entries, in order.
func (f *Fleet) Status() []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Status, len(f.entries))
	for i, e := range f.entries {
		all[i] = Status{Name: e.Name, Loaded: e.open != nil, Err: e.failed, Bridge: e.open}
		if e.open != nil {
			all[i].Leases = e.open.leases
		}
	}
	return all
}

// Counts are figures of a fleet.
type Counts struct {
	Loaded, Models  int   // open bridges and frozen models
	Memory          int64 // estimated bytes
	Opened, Evicted int64 // bridges, ever
}

// Counts returns the figures of now.
func (f *Fleet) Counts() Counts {
	models, _ := f.pool.Models()
	f.mu.Lock()
	defer f.mu.Unlock()
	return Counts{Loaded: f.loaded(), Models: models, Memory: f.memory(nil), Opened: f.opened, Evicted: f.evicted}
}
