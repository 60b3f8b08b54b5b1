package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// group returns a command that only has subcommands.
func group(name, usage string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: usage, Subcommands: commands, Action: func(c *cli.Context) error {
		var names []string
		for _, s := range commands {
			names = append(names, s.Name)
		}
		return usagef("%s: missing command (one of %s)", name, strings.Join(names, ", "))
	}}
}

// arguments checks the number of positional arguments. A negative max means any number.
func arguments(c *cli.Context, min, max int) ([]string, error) {
	got := c.Args().Slice()
	if len(got) < min || max >= 0 && len(got) > max {
		name := c.Command.HelpName // includes the names of the program and of the groups
		want := cmp.Or(c.Command.UsageText, strings.TrimSpace(name+" "+c.Command.ArgsUsage))
		return nil, usagef("%s got %d arguments, want: %s", strings.TrimPrefix(name, "bridge "), len(got), want)
	}
	return got, nil
}

// checkChoice checks that the value of a flag is one of the choices.
func checkChoice(flag, got string, choices []string) error {
	if slices.Contains(choices, got) {
		return nil
	}
	return usagef("%s is %q, want one of %s%s", flag, got, strings.Join(choices, ", "), didyoumean.Hint(got, choices))
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON on stdout, one object a line"}
}

func backendFlag() cli.Flag {
	return &cli.StringFlag{Name: "backend", Usage: "`BACKEND` to compute on: auto, go, xla:cpu, xla:cuda or xla:/abs/plugin.so",
		Action: func(_ *cli.Context, name string) error {
			if err := backends.Check(name); err != nil {
				return usagef("--backend: %v", err)
			}
			return nil
		}}
}

func isolationFlag() cli.Flag {
	return &cli.StringFlag{Name: "isolation", Value: workspace.IsolationProcess,
		Usage: "`WHERE` built-in adapters run: process (their own) or none (the process of bridge)",
		Action: func(_ *cli.Context, where string) error {
			if where != workspace.IsolationProcess && where != workspace.IsolationNone {
				return usagef("--isolation is %q, want process or none", where)
			}
			return nil
		}}
}

func transportFlag() cli.Flag {
	return &cli.StringFlag{Name: "transport", Value: string(host.TransportAuto),
		Usage: "`HOW` tensors are sent to adapters in other processes: auto, shared-memory or grpc",
		Action: func(_ *cli.Context, transport string) error {
			if !slices.Contains(host.Transports(), transport) {
				return usagef("--transport is %q, want auto, shared-memory or grpc", transport)
			}
			return nil
		}}
}

func movedFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "moved",
		Usage: "set `OLD=NEW` if files of a run (models, plugins, pictures, annotations) that were at OLD or below are now at NEW; " +
			"both are absolute or relative to the working folder; may be repeated"}
}

// trustFlags returns the flags that restrict which plugins start.
func trustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "locked", Usage: "start only plugins that " + lockfile.Name + " pins (bridge plugin lock)"},
		&cli.BoolFlag{Name: "require-signed", Usage: "start only plugins that are signed with a key that you trust"},
		&cli.StringFlag{Name: "sandbox", Usage: "`WHETHER` plugins run in a sandbox, without network and with few files: none or on"},
	}
}

// lavisFlags returns the flags for parts that a .pth file of LAVIS does not contain.
func lavisFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "encoder", Usage: "`ID` of the vision encoder of a .pth file"},
		&cli.StringFlag{Name: "llm", Usage: "`ID` of the language model of a .pth file of stage 2"},
		&cli.IntFlag{Name: "heads", DefaultText: "heads of width 64",
			Usage: "number `N` of attention heads of a .pth file's Q-Former"},
		&cli.IntFlag{Name: "encoder-heads", DefaultText: "heads of width 88",
			Usage: "number `N` of attention heads of a .pth file's encoder"},
	}
}

// lavisOptions reads the flags for a .pth file. They are wrong usage with any other model.
func lavisOptions(c *cli.Context, model string) (workspace.LAVISOptions, error) {
	if !isFile(model) {
		for _, flag := range []string{"encoder", "llm", "tokenizer", "heads", "encoder-heads"} {
			if c.IsSet(flag) {
				return workspace.LAVISOptions{}, usagef("--%s applies only to a .pth file, and %s is not one", flag, model)
			}
		}
	}
	return workspace.LAVISOptions{Encoder: c.String("encoder"), LLM: c.String("llm"), Tokenizer: c.String("tokenizer"),
		Heads: c.Int("heads"), EncoderHeads: c.Int("encoder-heads")}, nil
}

// adapterFlags returns the flags that replace the adapters of a bridge's frozen models.
func adapterFlags() []cli.Flag {
	const usage = "`PLUGIN`, a name or path, to run the bridge's %s with, instead of the adapter that it was trained with"
	return []cli.Flag{
		&cli.StringFlag{Name: "encoder-plugin", Usage: fmt.Sprintf(usage, "vision encoder")},
		&cli.StringFlag{Name: "llm-plugin", Usage: fmt.Sprintf(usage, "language model")},
	}
}

// openOptions reads the flags of a command that opens a bridge.
func openOptions(c *cli.Context, model string) (workspace.OpenOptions, error) {
	lavis, err := lavisOptions(c, model)
	return workspace.OpenOptions{Backend: c.String("backend"), Isolation: c.String("isolation"), Transport: c.String("transport"),
		EncoderPlugin: c.String("encoder-plugin"), LLMPlugin: c.String("llm-plugin"), LAVIS: lavis}, err
}

// runFlags returns the flags of commands that write a run folder.
func runFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "out", Usage: "`RUN` folder to write (default: runs/ and the recipe's name)"},
		&cli.BoolFlag{Name: "resume", Usage: "continue the run in the folder from its newest checkpoint"},
		backendFlag(), jsonFlag(), setFlag(),
	}
}

func setFlag() cli.Flag {
	return &cli.GenericFlag{Name: "set", Value: &assignments{}, Usage: "set `KEY=VALUE` in the recipe; may be repeated"}
}

// assignments collects the values of --set. Unlike urfave/cli's slices it does not split
// values at commas, because TOML arrays have commas.
type assignments []string

// Set adds a value.
func (a *assignments) Set(s string) error { *a = append(*a, s); return nil }

// String returns all values.
func (a *assignments) String() string { return strings.Join(*a, " ") }

// overrides returns the changes to a recipe that --backend and --set ask for, in this order.
func overrides(c *cli.Context) []recipes.Override {
	var all []recipes.Override
	if b := c.String("backend"); b != "" {
		all = append(all, recipes.Override{Assignment: "run.backend=" + b, Flag: "--backend " + b})
	}
	if a, ok := c.Generic("set").(*assignments); ok {
		for _, s := range *a {
			all = append(all, recipes.Override{Assignment: s})
		}
	}
	return all
}

// countFlag returns a flag for an integer that is at least least.
func countFlag(name string, value, least int, usage string) cli.Flag {
	return &cli.IntFlag{Name: name, Value: value, Usage: usage, Action: func(_ *cli.Context, got int) error {
		if got < least {
			return usagef("--%s is %d, want at least %d", name, got, least)
		}
		return nil
	}}
}

// factorFlag returns a flag for a number above 0 and at most most. The default is 1.
func factorFlag(name string, most float64, usage string) cli.Flag {
	want := "a number above 0"
	if most < math.MaxFloat32 {
		want += fmt.Sprintf(" and at most %v", most)
	}
	return &cli.Float64Flag{Name: name, Value: 1, Usage: usage, Action: func(_ *cli.Context, got float64) error {
		if got > 0 && got <= most {
			return nil
		}
		return usagef("--%s is %v, want %s", name, got, want)
	}}
}
