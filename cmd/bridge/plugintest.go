package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/conformance"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) pluginTestCommand() *cli.Command {
	return &cli.Command{
		Name: "test", Usage: "run the conformance suite on an adapter, with advice for each failed case", ArgsUsage: "PATH",
		UsageText: "bridge plugin test PATH [--checkpoint DIR] [--golden DIR]... [--run REGEXP] [--junit FILE] [--json] " +
			"[--backend B] [--kind KIND]",
		Description: "PATH is an executable, a plugin's folder, a project (which is built first), or builtin:FAMILY.\n" +
			"docs/conformance.md lists the cases. The exit status is 1 if a case fails.\n\n" +
			"Example: bridge plugin test builtin:opt --checkpoint adapters/opt/testdata/golden-pre-norm/checkpoint",
		Flags: []cli.Flag{backendFlag(), jsonFlag(),
			&cli.StringFlag{Name: "checkpoint",
				Usage: "`DIR` for the plugin to load (default: the one in its plugin.toml, else that of the first --golden)"},
			&cli.StringSliceFlag{Name: "golden", Usage: "golden folder `DIR` whose cases it must reproduce; may be repeated"},
			&cli.StringFlag{Name: "run", Usage: "run only cases whose names match `REGEXP`"},
			&cli.StringFlag{Name: "junit", Usage: "`FILE` to write the results to as JUnit XML, in addition"},
			&cli.StringFlag{Name: "kind", Usage: "`KIND` that it must have: language-model or vision-encoder"},
			&cli.StringFlag{Name: "family", Usage: "`NAME` of the family to test, if the executable serves several"},
			&cli.StringFlag{Name: "text", Usage: "`TEXT` that the language model can read, if it cannot read \"a photo of\""},
			&cli.StringFlag{Name: "target", Usage: "`TEXT` that may follow --text"},
			&cli.DurationFlag{Name: "limit", Value: 2 * time.Minute, Usage: "`TIME` limit of each case"},
			&cli.Float64Flag{Name: "patience", Value: 1, Usage: "`FACTOR` to multiply the contract's time limits with, for a slow machine"},
		},
		Action: p.pluginTest,
	}
}

func (p *program) pluginTest(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	o, err := p.testOptions(c)
	if err != nil {
		return err
	}
	if err := checkTestFlags(c); err != nil {
		return err
	}
	target, err := p.workspace.PluginTarget(c.Context, args[0], workspace.TargetOptions{
		Checkpoint: c.String("checkpoint"), Golden: o.Golden, Kind: adapters.ModelKind(c.String("kind")),
		Family: c.String("family"), Backend: c.String("backend"), BuildLog: p.stderr})
	if err != nil {
		return err
	}
	report, err := conformance.Run(c.Context, target, o)
	if report == nil {
		return err
	}
	if err := p.printReport(c, report); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case report.Count(adaptertest.Fail) > 0:
		return adapters.Errorf(adapters.Invalid, "%s fails %d of %d cases", args[0], report.Count(adaptertest.Fail), len(report.Results))
	case !report.OK():
		return usagef("no case was run: --run %q matches none, or all were skipped", c.String("run"))
	}
	return nil
}

// testOptions reads the flags that the conformance suite takes.
func (p *program) testOptions(c *cli.Context) (conformance.Options, error) {
	o := conformance.Options{Golden: c.StringSlice("golden"), Limit: c.Duration("limit"), Patience: c.Float64("patience")}
	if o.Limit <= 0 || !(o.Patience > 0) {
		return o, usagef("--limit is %v and --patience %v, want positive numbers", o.Limit, o.Patience)
	}
	if text, target := c.String("text"), c.String("target"); (text == "") != (target == "") {
		return o, usagef("--text and --target must be used together")
	} else if text != "" {
		o.Contract.Texts = []string{text, target}
	}
	if c.IsSet("run") {
		expression, err := regexp.Compile(c.String("run"))
		if err != nil {
			return o, usagef("--run: %v", err)
		}
		o.Run = expression
	}
	self, err := os.Executable()
	if err != nil {
		return o, fmt.Errorf("find the path of this program, to start it as a host: %w", err)
	}
	o.Host = []string{self, "adapter", "host"}
	o.Ended = func(r conformance.Result) {
		p.errorf("%-4s %6.2f s  %s\n", r.Verdict, r.Took.Seconds(), r.Name)
	}
	return o, nil
}

// checkTestFlags checks, before anything is built or run, the flags that can be checked
// without the plugin.
func checkTestFlags(c *cli.Context) error {
	if kind := adapters.ModelKind(c.String("kind")); kind != "" && kind != adapters.KindLanguage && kind != adapters.KindVision {
		return usagef("--kind is %q, want %s or %s", kind, adapters.KindLanguage, adapters.KindVision)
	}
	if dir := c.String("checkpoint"); c.IsSet("checkpoint") && !isDir(dir) {
		return adapters.Errorf(adapters.NotFound, "no checkpoint %q: no such folder", dir).
			WithRemedy("name the folder that the plugin loads")
	}
	for _, dir := range c.StringSlice("golden") {
		if _, err := golden.Open(dir); err != nil {
			return err
		}
	}
	if dir := filepath.Dir(c.String("junit")); c.IsSet("junit") && !isDir(dir) {
		return adapters.Errorf(adapters.NotFound, "--junit is %s, but the folder %s does not exist", c.String("junit"), dir).
			WithRemedy("mkdir -p %s", shell.Path(dir))
	}
	return nil
}

func (p *program) printReport(c *cli.Context, r *conformance.Report) error {
	if name := c.String("junit"); name != "" {
		if err := atomicfile.Write(name, r.WriteJUnit); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return r.WriteJSON(p.stdout)
	}
	return r.WriteTable(p.stdout)
}

// adapterHost runs as a host that `bridge plugin test` kills.
func (p *program) adapterHost(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	return conformance.RunHost(c.Context, os.Stdin, p.stdout)
}
