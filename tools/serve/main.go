// Command serve proves `bridge serve` from outside: it runs the real program under load.
//
//	go run ./tools/serve soak -bridge bin/bridge -minutes 10     mixed load while processes are killed
//	go run ./tools/serve bench -bridge bin/bridge                the server beside generation in process
//
// README.md describes both. The exit status is 1 if an answer is wrong or lost, or the server grows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no command, want soak or bench")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	program := flags.String("bridge", "bin/bridge", "the program under test")
	backend := flags.String("backend", "go", "backend of all models")
	switch args[0] {
	case "soak":
		o := soakOptions{}
		minutes := flags.Float64("minutes", 10, "length of the load")
		models := flags.String("models", "", "more bridges, as NAME=FOLDER with commas between them; folders are copied, and touched during the load")
		flags.DurationVar(&o.kill, "kill", 20*time.Second, "time between two kills of models' processes")
		flags.StringVar(&o.memory, "memory", "0B", "memory budget of the server; with one below the sum of all bridges they are closed and opened again")
		flags.StringVar(&o.isolation, "isolation", "", "isolation of the frozen models")
		flags.IntVar(&o.clients, "clients", 10, "clients at once")
		flags.Uint64Var(&o.seed, "seed", 1, "of the order of requests")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		o.program, o.backend, o.load = *program, *backend, time.Duration(*minutes*float64(time.Minute))
		if *models != "" {
			o.models = strings.Split(*models, ",")
		}
		return soak(ctx, o)
	case "bench":
		o := benchOptions{}
		flags.IntVar(&o.rounds, "rounds", 9, "rounds of each number of clients")
		flags.IntVar(&o.tokens, "tokens", 32, "tokens of each answer")
		flags.StringVar(&o.model, "model", "kit:stage2", "the bridge")
		flags.StringVar(&o.isolation, "isolation", "none", "isolation of the frozen models, on both sides")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		o.program, o.backend = *program, *backend
		return bench(ctx, o)
	}
	return fmt.Errorf("there is no command %q, want soak or bench", args[0])
}
