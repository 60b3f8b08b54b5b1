package main

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/wheels"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/tools/xla"
)

// captionMetrics names METEOR, SPICE and the official tokenizer of captions.
const captionMetrics = "caption-metrics"

func installFlag() cli.Flag {
	names := []string{wheels.XLACPU, wheels.XLACUDA, captionMetrics}
	return &cli.StringFlag{
		Name: "install", Usage: "install `NAME` before the report: xla-cpu or xla-cuda (through python3 and pip), " +
			"or caption-metrics (METEOR and SPICE, half a gigabyte, through pip and Maven)",
		Action: func(_ *cli.Context, name string) error {
			if !slices.Contains(names, name) {
				return usagef("--install is %q, want %s or %s%s", name, strings.Join(names[:2], ", "), names[2], didyoumean.Hint(name, names))
			}
			return nil
		},
	}
}

// install installs an XLA plugin, or the programs of caption metrics. The output of its
// installer goes to stderr.
func (p *program) install(ctx context.Context, name string) error {
	switch name {
	case wheels.XLACUDA:
		return wheels.InstallXLACUDA(ctx, p.stderr)
	case captionMetrics:
		return runs.CaptionJars().Install(ctx, p.stderr)
	}
	return wheels.InstallXLACPU(ctx, xla.InstallCPU(), p.stderr)
}
