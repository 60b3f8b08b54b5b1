package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/registry"
)

func (p *program) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "run the golden cases of a folder and compare with the reference's numbers", ArgsUsage: "DIR",
		UsageText:   "bridge verify DIR [--backend B] [--isolation process|none] [--transport auto|shared-memory|grpc] [--plugin NAME] [--json]",
		Description: "Example: bridge verify adapters/opt/testdata/golden-pre-norm --isolation none",
		Flags: []cli.Flag{backendFlag(), isolationFlag(), transportFlag(), jsonFlag(),
			&cli.StringFlag{Name: "plugin", Usage: "`NAME` of a third-party adapter that runs the cases, or the path of its folder or executable"}},
		Action: p.verify,
	}
}

func (p *program) verify(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	folder, err := golden.Open(args[0])
	if err != nil {
		return err
	}
	var results []golden.Result
	for _, part := range folder.BySize() {
		some, err := p.runCases(c, part)
		if err != nil {
			return err
		}
		results = append(results, some...)
	}
	if err := p.printResults(c.Bool("json"), results); err != nil {
		return err
	}
	if !golden.OK(results) {
		return fmt.Errorf("%s: cases miss the reference's numbers (%s)", folder.Dir, folder.Source)
	}
	return nil
}

// runCases opens the model of a golden folder and runs its cases.
func (p *program) runCases(c *cli.Context, f *golden.Folder) ([]golden.Result, error) {
	runner, done, err := p.runner(c, f)
	if err != nil {
		return nil, err
	}
	defer done()
	return golden.Run(c.Context, f, runner)
}

func (p *program) printResults(asJSON bool, results []golden.Result) error {
	if !asJSON {
		return golden.WriteTable(p.stdout, results)
	}
	for _, r := range results {
		if err := p.printJSON(r); err != nil {
			return err
		}
	}
	return nil
}

// runner opens what a golden folder is about.
func (p *program) runner(c *cli.Context, f *golden.Folder) (golden.Runner, func(), error) {
	reg, err := p.registry(c.Context)
	if err != nil {
		return nil, nil, err
	}
	o := opening{plugin: c.String("plugin"), isolation: c.String("isolation"), transport: c.String("transport"), dtype: "float32", backend: c.String("backend"),
		layer: f.Options.FeatureLayer, image: f.ImageSize()}
	switch f.Kind {
	case golden.KindVision, golden.KindLanguage:
		if o.model, err = reg.FolderKind(f.Checkpoint(), adapters.ModelKind(f.Kind)); err != nil && o.plugin == "" {
			return nil, nil, err
		}
		if err != nil { // a model type that only the plugin reads
			o.model = registry.Backbone{Source: registry.FromFolder, Path: f.Checkpoint()}
		}
		return p.adapterRunner(c.Context, reg, f.Kind, o)
	}
	if o.plugin != "" {
		return nil, nil, usagef("--plugin names an adapter, and %s holds cases of a %s", f.Dir, f.Kind)
	}
	info, _, err := bridge.ReadInfo(f.Checkpoint())
	if err != nil {
		return nil, nil, err
	}
	info.Vision.Image = f.ImageSize()
	m, done, err := p.openParts(c, f.Checkpoint(), info, "float32")
	if err != nil {
		return nil, nil, err
	}
	return golden.Bridge(m, m.Language), done, nil
}

func (p *program) adapterRunner(ctx context.Context, reg *registry.Registry, kind string, o opening) (golden.Runner, func(), error) {
	if kind == golden.KindVision {
		encoder, err := p.openVision(ctx, reg, o)
		if err != nil {
			return nil, nil, err
		}
		return golden.Vision(encoder), p.closing(encoder), nil
	}
	model, err := p.openLanguage(ctx, reg, o)
	if err != nil {
		return nil, nil, err
	}
	return golden.Language(model), p.closing(model), nil
}

// closing returns a function that closes c and logs what goes wrong.
func (p *program) closing(c interface{ Close() error }) func() {
	return func() {
		if err := c.Close(); err != nil {
			p.log.Warn("closing a model", "error", err)
		}
	}
}
