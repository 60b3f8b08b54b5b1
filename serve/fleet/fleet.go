package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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
	// Memory is what the open bridges and their frozen models may take together, in bytes, by
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

// Acquire returns a lease of a bridge, and loads it if necessary.
func (f *Fleet) Acquire(ctx context.Context, name string) (*Lease, error) {
	if l, err := f.leaseOpen(name); l != nil || err != nil {
		return l, err
	}
	if err := f.beginOpening(ctx); err != nil {
		return nil, err
	}
	type outcome struct {
		lease *Lease
		err   error
	}
	opened := make(chan outcome, 1)
	go func() {
		l, err := f.openNow(name)
		f.endOpening()
		opened <- outcome{l, err}
	}()
	select {
	case o := <-opened:
		return o.lease, o.err
	case <-ctx.Done(): // the bridge is opened nevertheless, for the next request
		go func() {
			if o := <-opened; o.err == nil {
				o.lease.Release()
			}
		}()
		return nil, ctx.Err()
	}
}

// openNow returns a lease of a bridge, which somebody else may have opened meanwhile.
func (f *Fleet) openNow(name string) (*Lease, error) {
	if l, err := f.leaseOpen(name); l != nil || err != nil {
		return l, err
	}
	if err := f.failedLately(name); err != nil {
		return nil, err
	}
	return f.load(f.ctx, name)
}

// beginOpening waits until no other bridge is being opened. The caller calls endOpening afterwards.
func (f *Fleet) beginOpening(ctx context.Context) error {
	select {
	case f.opening <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Fleet) endOpening() { <-f.opening }

// retryPause is the time between two attempts to open a bridge that cannot be opened.
const retryPause = 2 * time.Second

// failedLately returns the error of an attempt to open a bridge that was made a moment ago, so that
// requests for a broken bridge do not keep the server busy.
func (f *Fleet) failedLately(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.find(name); e != nil && e.failed != nil && time.Since(e.tried) < retryPause {
		return e.failed
	}
	return nil
}

// leaseOpen returns a lease of a bridge that is loaded, or nil.
func (f *Fleet) leaseOpen(name string) (*Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.find(name)
	if e == nil {
		return nil, ErrUnknown
	}
	if e.open == nil {
		return nil, nil
	}
	return f.lease(e.open), nil
}

// lease counts a use. The caller holds mu.
func (f *Fleet) lease(b *Bridge) *Lease {
	b.leases++
	b.used = time.Now()
	return &Lease{Bridge: b, release: sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		b.leases--
		b.used = time.Now()
		f.closeUnused(b)
	})}
}

// load opens the bridge of an entry, puts it in the place of the one that is open, and returns a
// lease of it. The caller has begun opening.
func (f *Fleet) load(ctx context.Context, name string) (*Lease, error) {
	e, err := f.makeRoom(name)
	if err != nil {
		return nil, err
	}
	stamp := f.stampOf(ctx, e.Entry)
	began := time.Now()
	m, err := f.options.Workspace.OpenModel(ctx, e.Model, e.Open)
	f.mu.Lock()
	if f.find(name) != e { // the configuration has changed meanwhile
		f.mu.Unlock()
		if err == nil {
			m.Close()
		}
		return f.load(ctx, name)
	}
	defer f.mu.Unlock()
	e.failed, e.tried = err, time.Now()
	if err != nil {
		return nil, err
	}
	b := &Bridge{Model: m, Name: e.Name, Opened: time.Now(), used: time.Now()}
	f.options.Log.Info("opened a bridge", "model", e.Name, "seconds", time.Since(began).Round(time.Millisecond).Seconds())
	f.opened++
	f.live[b] = true
	if e.open != nil {
		f.drop(e)
	}
	e.open, e.parts, e.stamp = b, partsOf(m), stamp
	l := f.lease(b)
	f.evict(nil)
	if over := f.memory(nil) - f.options.Memory; f.options.Memory > 0 && over > 0 {
		f.options.Log.Warn("the open bridges take more than the memory budget, and all are in use", "bytes over", over)
	}
	return l, nil
}

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

// evict closes bridges that nobody uses until there is room for more parts, those that were used
// longest ago first. The caller holds mu.
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

// Load opens all bridges that are not open. It returns the errors of those that cannot be opened.
func (f *Fleet) Load(ctx context.Context) map[string]error {
	failed := map[string]error{}
	for _, name := range f.Names() {
		l, err := f.Acquire(ctx, name)
		if err != nil {
			failed[name] = err
			continue
		}
		l.Release()
		if ctx.Err() != nil {
			break
		}
	}
	return failed
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
