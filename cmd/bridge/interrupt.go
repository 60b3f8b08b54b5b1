package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"
)

// interruptGrace is how long an interrupted command may take to return on its own. It can
// be stuck in a graph compilation or a device computation, neither of which can be
// cancelled.
const interruptGrace = 750 * time.Millisecond

// await waits for a command and returns its exit status. If an interrupted command does not
// return in time, await saves the state of its run and kills its plugins; the end of the
// process then stops its goroutines.
func (p *program) await(ctx context.Context, ended <-chan int) int {
	select {
	case status := <-ended:
		return status
	case <-ctx.Done():
	}
	select {
	case status := <-ended:
		return status
	case <-time.After(interruptGrace):
	}
	if !p.abortable.Load() {
		return <-ended
	}
	if err := p.workspace.Abort(); err != nil {
		p.printError(err)
	}
	return p.status(ctx, ctx.Err())
}

// abortableCommand marks a command that may be stopped in the middle of its work. await lets
// the other commands return on their own, because they remove partly written files.
func (p *program) abortableCommand(c *cli.Command) *cli.Command {
	c.Before = func(*cli.Context) error {
		p.abortable.Store(true)
		return nil
	}
	return c
}
