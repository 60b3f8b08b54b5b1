package fleet

import (
	"context"
	"sync"
	"time"
)

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
