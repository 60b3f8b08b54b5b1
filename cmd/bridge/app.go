package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/workspace"
)

// The exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError reports wrong usage; the exit status is 2.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// addProgram is one invocation of the command.
type program struct {
	stdout, stderr io.Writer
	args           []string // the command line
	level          slog.LevelVar
	log            *slog.Logger
	workspace      *workspace.Workspace
	relocations    workspace.Relocations // as --moved gives them
	abortable      atomic.Bool           // the command may be stopped in the middle of its work
}

// run executes a command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr, args: args}
	p.log = slog.New(shell.NewLogHandler(stderr, &slog.HandlerOptions{Level: &p.level, ReplaceAttr: withoutTime}))
	ended := make(chan int, 1)
	go func() {
		app := p.app()
		ordered, err := reorder(app, args)
		if err == nil {
			err = app.RunContext(ctx, ordered)
			p.warnUnusedMoves()
		}
		ended <- p.status(ctx, err)
	}()
	return p.await(ctx, ended)
}

// warnUnusedMoves warns of each --moved that changed no path.
func (p *program) warnUnusedMoves() {
	for _, pair := range p.relocations.Unused() {
		p.log.Warn("--moved changed no path: the command read no recorded path at OLD or below", "moved", pair)
	}
}

// status prints err and returns the exit status for it.
func (p *program) status(ctx context.Context, err error) int {
	var usage usageError
	var option workspace.OptionError
	var problems stricttoml.Problems
	var dataProblems runs.DataProblems
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil:
		p.errorf("bridge: interrupted\n")
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &option):
		p.printError(err)
		p.errorf("See `bridge help` or `bridge COMMAND --help`.\n")
		return exitUsage
	case errors.As(err, &problems):
		p.printLines(err)
		if problems.Override() {
			return exitUsage
		}
		return exitFailed
	}
	if errors.As(err, &dataProblems) {
		p.printLines(err)
		return exitFailed
	}
	p.printError(err)
	return exitFailed
}

// printLines prints an error that has a problem a line.
func (p *program) printLines(err error) {
	for line := range strings.Lines(err.Error()) {
		p.errorf("bridge: %s\n", strings.TrimSuffix(line, "\n"))
	}
}

// withoutTime removes the time from a log record.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return loglevel.NameTrace(groups, a)
}

// app returns the command line application.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "bridge",
		Usage: "join a frozen vision encoder and a frozen language model with a Q-Former, and swap either",
		Description: "A MODEL is a run folder, its bridge folder, a BLIP-2 folder saved by transformers, or one of the kit's bridges\n" +
			"(kit:stage1, kit:stage2). caption and ask also take a stage-2 .pth file of LAVIS.\n" +
			"An ID is a registry id (bridge models list) or a folder with a Hugging Face checkpoint.\n\n" +
			"Begin with: bridge demo",
		Version:        version().String(),
		Writer:         p.stdout,
		ErrWriter:      p.stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // run sets the exit status
		OnUsageError:   wrongUsage,
		Flags:          p.globalFlags(),
		Before:         p.before,
		Commands: []*cli.Command{
			p.abortableCommand(p.demoCommand()), p.doctorCommand(), p.modelsCommand(), p.recipesCommand(),
			p.abortableCommand(p.trainCommand()), p.abortableCommand(p.retrainCommand()),
			p.abortableCommand(p.captionCommand()), p.abortableCommand(p.askCommand()),
			p.abortableCommand(p.compareCommand()), p.abortableCommand(p.evalCommand()), p.abortableCommand(p.dataCommand()), p.convertCommand(), p.abortableCommand(p.verifyCommand()),
			p.serveCommand(), p.pluginCommand(), p.versionCommand(), p.adapterCommand(), helpCommand(),
		},
	}
	setCommandDefaults(app.Commands)
	return app
}

// globalFlags returns the flags that every command has.
func (p *program) globalFlags() []cli.Flag {
	level := &cli.StringFlag{Name: "log-level", Value: "info",
		Usage: "`LEVEL` of the log on stderr: trace (every call of an adapter, with sizes and times), debug, info, warn or error"}
	flags := append([]cli.Flag{level, movedFlag()}, trustFlags()...)
	return append(flags, cli.HelpFlag) // urfave/cli adds it only with its own help command
}

// before reads the global flags and opens the workspace.
func (p *program) before(c *cli.Context) error {
	level, err := loglevel.Parse(c.String("log-level"))
	if err != nil {
		return usagef("--log-level is %q, want trace, debug, info, warn or error", c.String("log-level"))
	}
	p.level.Set(level)
	if err := workspace.CheckFolders(); err != nil {
		return err
	}
	relocations, err := workspace.ParseRelocations(c.StringSlice("moved"))
	if err != nil {
		return usagef("--moved: %v", err)
	}
	p.relocations = relocations
	sandbox := c.String("sandbox")
	if err := trust.CheckSandbox(sandbox); err != nil {
		return usagef("--sandbox %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the path of this program, to start it as a plugin: %w", err)
	}
	p.workspace = workspace.New(workspace.Options{
		Log: p.log, Progress: metrics.NewProgress(p.stderr), Relocations: relocations,
		AdapterCommand: []string{self, "adapter", "serve"},
		Trust:          trust.Settings{Locked: c.Bool("locked"), RequireSigned: c.Bool("require-signed"), Sandbox: trust.Sandbox(sandbox)},
	})
	return nil
}

// setCommandDefaults sets fields of all commands that urfave/cli does not copy from the app.
func setCommandDefaults(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError, c.HideHelpCommand = wrongUsage, true
		setCommandDefaults(c.Subcommands)
	}
}

func wrongUsage(_ *cli.Context, err error, _ bool) error { return usagef("%v", err) }

// printJSON writes an object in one line.
func (p *program) printJSON(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printf prints to stdout. The arguments may hold names and texts that others wrote:
// [printable.Fprintf] escapes them.
func (p *program) printf(format string, args ...any) { printable.Fprintf(p.stdout, format, args...) }

// errorf prints to stderr, like printf.
func (p *program) errorf(format string, args ...any) { printable.Fprintf(p.stderr, format, args...) }

// printError prints an error. It may have several lines, but none that a file's name makes.
func (p *program) printError(err error) {
	io.WriteString(p.stderr, "bridge: "+printable.Error(err, p.args...)+"\n")
}

// table writes rows in columns.
func (p *program) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable.Name(cell)
		}
		if _, err := io.WriteString(w, strings.Join(cells, "\t")+"\n"); err != nil {
			return err
		}
	}
	return w.Flush()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
