// Command bridge joins a frozen vision encoder and a frozen language model with a
// Q-Former. It trains bridges, retrains them after a swap, captions pictures and
// answers questions about them.
//
// Results go to stdout; progress and logs go to stderr. The exit status is 0 for
// success, 1 for failure, 2 for wrong usage and 130 for an interrupt.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/sandbox"
)

func main() {
	sandbox.Enter() // does not return in a process that is to run a plugin in the sandbox
	backends.AnswerTrial()
	backends.Relaunch()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills the process
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}
