package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
)

// patience is how long a command that was interrupted may take to end by itself.
// What it may be in the middle of and cannot leave is the compilation of a graph, or
// one computation of this process.
const patience = 750 * time.Millisecond

// await returns the exit status of a command. One that is interrupted and does not
// end is ended: what it has of a run's state is saved and its plugins are killed.
// Its goroutines are left to the end of the process.
func (p *program) await(ctx context.Context, ended <-chan int) int {
	select {
	case status := <-ended:
		return status
	case <-ctx.Done():
	}
	select {
	case status := <-ended:
		return status
	case <-time.After(patience):
	}
	if !p.rescue.hurry.Load() {
		return <-ended
	}
	if err := p.rescue.save(); err != nil {
		fmt.Fprintf(p.stderr, "bridge: %v\n", err)
	}
	p.running.Kill()
	return p.status(ctx, ctx.Err())
}

// rescue is what an interrupted command has to do before it is ended.
type rescue struct {
	hurry atomic.Bool // the command may be ended in the middle

	mu     sync.Mutex
	saving func() error // nil: nothing
}

// by sets how the state of what is done now is saved; undo ends that.
func (r *rescue) by(save func() error) (undo func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saving = save
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.saving = nil
	}
}

// save saves what there is to save. Whoever did it by himself meanwhile waits.
func (r *rescue) save() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.saving == nil {
		return nil
	}
	return r.saving()
}

// computing makes a command one that may be ended in the middle. Others end by
// themselves: they write files, which they remove where they do not become whole.
func (p *program) computing(c *cli.Command) *cli.Command {
	c.Before = func(*cli.Context) error {
		p.rescue.hurry.Store(true)
		return nil
	}
	return c
}
