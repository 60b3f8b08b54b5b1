package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/internal/logmux"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
)

// The exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is a command line that cannot be meant: exit status 2.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// program is one invocation of the command.
type program struct {
	stdout, stderr io.Writer
	log            *slog.Logger
	sinks          *logmux.Handler // that the log goes to
	level          *slog.LevelVar
	asked          trust.Settings // of all plugins, on the command line
	moved          moves
	running        host.Running
	rescue         rescue
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr, level: &slog.LevelVar{}}
	p.sinks = logmux.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: p.level, ReplaceAttr: withoutTime}))
	p.log = slog.New(p.sinks)
	ended := make(chan int, 1)
	go func() {
		app := p.app()
		ordered, err := reorder(app, args)
		if err == nil {
			err = app.RunContext(ctx, ordered)
		}
		ended <- p.status(ctx, err)
	}()
	return p.await(ctx, ended)
}

// status reports err and returns the exit status that it means.
func (p *program) status(ctx context.Context, err error) int {
	var usage usageError
	var problems stricttoml.Problems
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil:
		fmt.Fprintln(p.stderr, "bridge: interrupted")
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "bridge: %v\n`bridge help` and `bridge COMMAND --help` show what there is.\n", err)
		return exitUsage
	case errors.As(err, &problems):
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(p.stderr, "bridge: "+strings.TrimSuffix(line, "\n"))
		}
		if problems.Override() {
			return exitUsage
		}
		return exitFailed
	}
	fmt.Fprintf(p.stderr, "bridge: %v\n", err)
	return exitFailed
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return loglevel.NameTrace(groups, a)
}

func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "bridge",
		Usage: "join a frozen vision encoder and a frozen language model by a Q-Former, and swap either",
		Description: "A MODEL is a run folder, its bridge folder, a folder with a BLIP-2 that transformers saved, or one of the kit's bridges\n" +
			"(kit:stage1, kit:stage2). caption and ask take a stage-2 .pth file of LAVIS too.\n" +
			"An ID is a registry id (bridge models list) or a folder with a Hugging Face checkpoint.\n\n" +
			"Begin with: bridge demo",
		Version:        version().String(),
		Writer:         p.stdout,
		ErrWriter:      p.stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // run decides
		OnUsageError:   wrongUsage,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "`LEVEL` of logs on stderr: trace (every call of an adapter, with sizes and times), debug, info, warn or error"},
			movedFlag(),
		}, trustFlags()...),
		Before: func(c *cli.Context) error {
			level, err := loglevel.Parse(c.String("log-level"))
			if err != nil {
				return usagef("--log-level is %q, want trace, debug, info, warn or error", c.String("log-level"))
			}
			p.level.Set(level)
			if p.moved, err = parseMoves(c.StringSlice("moved")); err != nil {
				return err
			}
			return p.askTrust(c)
		},
		Commands: []*cli.Command{
			p.computing(p.demoCommand()), p.doctorCommand(), p.modelsCommand(), p.recipesCommand(),
			p.computing(p.trainCommand()), p.computing(p.retrainCommand()), p.computing(p.captionCommand()), p.computing(p.askCommand()),
			p.computing(p.compareCommand()), p.convertCommand(), p.computing(p.verifyCommand()), p.pluginCommand(), p.versionCommand(), p.adapterCommand(),
		},
	}
	settle(app.Commands)
	return app
}

// settle gives all commands what urfave/cli does not inherit.
func settle(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError, c.HideHelpCommand = wrongUsage, true
		settle(c.Subcommands)
	}
}

func wrongUsage(_ *cli.Context, err error, _ bool) error { return usagef("%v", err) }

// registry builds the registry of this machine.
func (p *program) registry(ctx context.Context) (*registry.Registry, error) {
	o := registry.Default()
	o.Families = builtin.Families()
	o.KitModels = kit.Models()
	o.KitFolder = func(id string) (string, error) {
		dir, err := kit.Extract(ctx, cacheDir())
		return filepath.Join(dir, id), err
	}
	return registry.New(o)
}

// cacheDir is where the kit is unpacked and features are kept: $BRIDGE_CACHE or
// the user's cache folder.
func cacheDir() string {
	if dir := os.Getenv("BRIDGE_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "bridge")
}

// group is a command that only holds others.
func group(name, usage string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: usage, Subcommands: commands, Action: func(c *cli.Context) error {
		var names []string
		for _, s := range commands {
			names = append(names, s.Name)
		}
		return usagef("bridge %s wants a command: %s", name, strings.Join(names, ", "))
	}}
}

// arguments checks the number of positional arguments. max < 0 is any number.
func arguments(c *cli.Context, min, max int) ([]string, error) {
	got := c.Args().Slice()
	if len(got) < min || max >= 0 && len(got) > max {
		name := c.Command.HelpName // with the program's and the groups' before it
		want := cmp.Or(c.Command.UsageText, strings.TrimSpace(name+" "+c.Command.ArgsUsage))
		return nil, usagef("%s got %d arguments, want: %s", name, len(got), want)
	}
	return got, nil
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "one JSON object a line on stdout"}
}

func backendFlag() cli.Flag {
	return &cli.StringFlag{Name: "backend", Usage: "`BACKEND` that computes: auto, go, xla:cpu, xla:cuda or xla:/abs/plugin.so",
		Action: func(_ *cli.Context, name string) error {
			if err := backends.Check(name); err != nil {
				return usagef("--backend: %v", err)
			}
			return nil
		}}
}

func isolationFlag() cli.Flag {
	return &cli.StringFlag{Name: "isolation", Value: "process", Usage: "`WHERE` built-in adapters run: process or none",
		Action: func(_ *cli.Context, where string) error {
			if where != "process" && where != "none" {
				return usagef("--isolation is %q, want process or none", where)
			}
			return nil
		}}
}

func transportFlag() cli.Flag {
	return &cli.StringFlag{Name: "transport", Value: string(host.TransportAuto), Usage: "how tensors `TRAVEL` to adapters in processes: auto, shared-memory or grpc",
		Action: func(_ *cli.Context, transport string) error {
			if !slices.Contains(host.Transports(), transport) {
				return usagef("--transport is %q, want auto, shared-memory or grpc", transport)
			}
			return nil
		}}
}

// printJSON writes one object a line.
func (p *program) printJSON(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table writes rows in columns.
func (p *program) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
