package plugins

import (
	"context"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// Running is the plugins that run: whoever has to end them at once, and cannot
// close the adapters because somebody is in the middle of using them, kills them by
// it. The zero value is none; nil is fine where nobody will.
type Running struct {
	mu   sync.Mutex
	over bool
	all  map[*socketDir]*runnerProcess // by folder; nil before the process runs
}

// add notes a plugin; it is refused after Kill.
func (r *Running) add(folder *socketDir, process *runnerProcess) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return adapters.Errorf(adapters.Canceled, "bridge is ending: no plugin is started any more").WithOp("start")
	}
	if r.all == nil {
		r.all = map[*socketDir]*runnerProcess{}
	}
	r.all[folder] = process
	return nil
}

// remove forgets a plugin that has ended.
func (r *Running) remove(folder *socketDir) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, folder)
}

// Kill ends all plugins without asking them, removes their private folders, and
// lets no other start. It returns when they have ended.
func (r *Running) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
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
		folder.remove()
	}
}
