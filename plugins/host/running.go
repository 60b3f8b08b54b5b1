package host

import (
	"context"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// Running tracks live plugin processes, so that they can all be killed at once while their
// adapters are in use. The zero value is ready to use. A nil *Running tracks nothing.
type Running struct {
	mu     sync.Mutex
	closed bool
	all    map[*wire.SocketDir]*runnerProcess // by folder; nil until the process runs
}

// add tracks a plugin. After Kill it returns an error.
func (r *Running) add(folder *wire.SocketDir, process *runnerProcess) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return adapters.Errorf(adapters.Canceled, "bridge is ending: no plugin is started any more").WithOp("start")
	}
	if r.all == nil {
		r.all = map[*wire.SocketDir]*runnerProcess{}
	}
	r.all[folder] = process
	return nil
}

// remove stops tracking a plugin that has ended.
func (r *Running) remove(folder *wire.SocketDir) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, folder)
}

// Kill kills all plugins, removes their private folders, and prevents later starts. It
// returns when the plugins have ended.
func (r *Running) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, process := range r.all {
		if process != nil {
			_ = process.Kill(context.Background())
		}
	}
	late := time.After(exitGrace)
	for folder, process := range r.all {
		if process != nil {
			select {
			case <-process.done:
			case <-late: // it hangs in the kernel
			}
		}
		folder.Remove()
	}
}
