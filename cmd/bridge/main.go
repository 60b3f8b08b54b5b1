// Command bridge joins a frozen vision encoder and a frozen language model by a
// Q-Former: it trains bridges, retrains them after a swap, captions pictures
// and answers questions about them.
//
// Results go to stdout, progress and logs to stderr. The exit status is 0 for
// done, 1 for failed, 2 for wrong usage, 130 for interrupted.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/modular-bridging/bridge/internal/sandbox"
)

func main() {
	sandbox.Enter() // returns unless this process is a plugin's, to be confined
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}
