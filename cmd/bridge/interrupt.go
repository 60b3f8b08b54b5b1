package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
)

// interruptGrace is how long an interrupted command may take to return on its own. It can
// be stuck in a graph compilation or a device computation, neither of which can be
// cancelled.
const interruptGrace = 750 * time.Millisecond

// await returns the exit status of a command. If the command is interrupted and does not
// return in time, await saves the state of its run, kills its plugins and leaves its
// goroutines to the end of the process.
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
		fmt.Fprintf(p.stderr, "bridge: %v\n", err)
	}
	return p.status(ctx, ctx.Err())
}

// abortableCommand marks a command that may be ended in the middle of its work. The others end on
// their own: they write files, and remove those that are not whole.
func (p *program) abortableCommand(c *cli.Command) *cli.Command {
	c.Before = func(*cli.Context) error {
		p.abortable.Store(true)
		return nil
	}
	return c
}
