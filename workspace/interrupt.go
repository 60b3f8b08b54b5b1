package workspace

import "sync"

// interrupt holds what must be saved before an interrupted program ends.
type interrupt struct {
	mu   sync.Mutex
	save func() error // nil: nothing
}

// OnInterrupt registers how the state of the work at hand is saved; undo removes it.
func (w *Workspace) OnInterrupt(save func() error) (undo func()) {
	i := &w.interrupt
	i.mu.Lock()
	defer i.mu.Unlock()
	i.save = save
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.save = nil
	}
}

// Abort saves what [Workspace.OnInterrupt] registered, then kills all plugins. It is for
// a program that ends while a call is in a computation that cannot be cancelled. If that
// call finishes at the same time, it blocks until the state is saved.
func (w *Workspace) Abort() error {
	i := &w.interrupt
	i.mu.Lock()
	defer i.mu.Unlock()
	defer w.running.Kill()
	if i.save == nil {
		return nil
	}
	return i.save()
}
