package workspace

import "sync"

// interrupt holds the function that saves the state of the current work before an interrupted
// program ends.
type interrupt struct {
	mu   sync.Mutex
	save func() error // nil if there is nothing to save
}

// OnInterrupt registers a function that saves the state of the current work. undo removes it.
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

// Abort calls the function registered with [Workspace.OnInterrupt], then kills all plugins. A
// program calls it before it exits in the middle of a computation that cannot be cancelled. If
// that computation finishes at the same time, it blocks until the state is saved.
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
