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

// group returns a command that only holds others.
func group(name, usage string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: usage, Subcommands: commands, Action: func(c *cli.Context) error {
		var names []string
		for _, s := range commands {
			names = append(names, s.Name)
		}
		return usagef("bridge %s: missing command (one of %s)", name, strings.Join(names, ", "))
	}}
}

// arguments checks the number of positional arguments. A negative max means any number.
func arguments(c *cli.Context, min, max int) ([]string, error) {
	got := c.Args().Slice()
	if len(got) < min || max >= 0 && len(got) > max {
		name := c.Command.HelpName // with the program's and the groups' before it
		want := cmp.Or(c.Command.UsageText, strings.TrimSpace(name+" "+c.Command.ArgsUsage))
		return nil, usagef("%s got %d arguments, want: %s", name, len(got), want)
	}
	return got, nil
}

// checkChoice checks a flag that has to be one of some words.
func checkChoice(flag, got string, choices []string) error {
	if slices.Contains(choices, got) {
		return nil
	}
	return usagef("%s is %q, want one of %s%s", flag, got, strings.Join(choices, ", "), didyoumean.Hint(got, choices))
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
	return &cli.StringFlag{Name: "isolation", Value: workspace.IsolationProcess, Usage: "`WHERE` built-in adapters run: process or none",
		Action: func(_ *cli.Context, where string) error {
			if where != workspace.IsolationProcess && where != workspace.IsolationNone {
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

func movedFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "moved", Usage: "`OLD=NEW`: what a run names by a path at or below OLD lies at or below NEW now, both from the working folder or absolute; may be repeated"}
}

// trustFlags hold for every command that starts plugins.
func trustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "locked", Usage: "start only plugins that " + lockfile.Name + " pins (bridge plugin lock)"},
		&cli.BoolFlag{Name: "require-signed", Usage: "start only plugins that are signed by a key that you trust"},
		&cli.StringFlag{Name: "sandbox", Usage: "`WHETHER` plugins are confined, without network and with few files: none or on"},
	}
}

// lavisFlags name what a .pth file of LAVIS does not hold.
func lavisFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "encoder", Usage: "`ID` of the vision encoder of a .pth file"},
		&cli.StringFlag{Name: "llm", Usage: "`ID` of the language model of a .pth file of stage 2"},
		&cli.IntFlag{Name: "heads", Usage: "`N` attention heads of a .pth file's Q-Former (default: heads of 64)"},
		&cli.IntFlag{Name: "encoder-heads", Usage: "`N` attention heads of a .pth file's encoder (default: heads of 88)"},
	}
}

// lavisOptions reads the flags that belong to a .pth file. They are refused if the model is
// none.
func lavisOptions(c *cli.Context, model string) (workspace.LAVISOptions, error) {
	if !isFile(model) {
		for _, flag := range []string{"encoder", "llm", "tokenizer", "heads", "encoder-heads"} {
			if c.IsSet(flag) {
				return workspace.LAVISOptions{}, usagef("--%s belongs to a .pth file, and %s is none", flag, model)
			}
		}
	}
	return workspace.LAVISOptions{Encoder: c.String("encoder"), LLM: c.String("llm"), Tokenizer: c.String("tokenizer"),
		Heads: c.Int("heads"), EncoderHeads: c.Int("encoder-heads")}, nil
}

// adapterFlags name other adapters for a bridge's frozen models.
func adapterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "encoder-plugin", Usage: "`PLUGIN`, a name or path, that serves the bridge's own vision encoder instead of the adapter that it was trained with"},
		&cli.StringFlag{Name: "llm-plugin", Usage: "`PLUGIN`, a name or path, that serves the bridge's own language model instead of the adapter that it was trained with"},
	}
}

// openOptions reads the flags of a command that opens a bridge.
func openOptions(c *cli.Context, model string) (workspace.OpenOptions, error) {
	lavis, err := lavisOptions(c, model)
	return workspace.OpenOptions{Backend: c.String("backend"), Isolation: c.String("isolation"), Transport: c.String("transport"),
		EncoderPlugin: c.String("encoder-plugin"), LLMPlugin: c.String("llm-plugin"), LAVIS: lavis}, err
}

// runFlags are the flags of commands that make a run folder.
func runFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "out", Usage: "`RUN` folder to write (default: runs/ and the recipe's name)"},
		&cli.BoolFlag{Name: "resume", Usage: "go on with the run in the folder from its newest checkpoint"},
		backendFlag(), jsonFlag(), setFlag(),
	}
}

func setFlag() cli.Flag {
	return &cli.GenericFlag{Name: "set", Value: &assignments{}, Usage: "`KEY=VALUE` that replaces one of the recipe's; may be repeated"}
}

// assignments collects --set. Unlike urfave/cli's slices it does not split values at
// commas, which TOML arrays hold.
type assignments []string

func (a *assignments) Set(s string) error { *a = append(*a, s); return nil }
func (a *assignments) String() string     { return strings.Join(*a, " ") }

// overrides returns what --backend and --set make of a recipe, in this order.
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

func countFlag(name string, value, least int, usage string) cli.Flag {
	return &cli.IntFlag{Name: name, Value: value, Usage: usage, Action: func(_ *cli.Context, got int) error {
		if got < least {
			return usagef("--%s is %d, want at least %d", name, got, least)
		}
		return nil
	}}
}

// factorFlag is a flag for a number above 0, which is 1 by default.
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
