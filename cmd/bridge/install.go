package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/wheels"
	"github.com/modular-bridging/bridge/tools/xla"
)

func installFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "install", Usage: "install `PLUGIN` before the report: xla-cpu or xla-cuda (through python3 and pip)",
		Action: func(_ *cli.Context, plugin string) error {
			if plugin != wheels.XLACPU && plugin != wheels.XLACUDA {
				return usagef("--install is %q, want %s or %s%s", plugin, wheels.XLACPU, wheels.XLACUDA,
					didyoumean.Hint(plugin, []string{wheels.XLACPU, wheels.XLACUDA}))
			}
			return nil
		},
	}
}

// install installs an XLA plugin. The output of its installer goes to stderr.
func (p *program) install(ctx context.Context, plugin string) error {
	if plugin == wheels.XLACUDA {
		return wheels.InstallXLACUDA(ctx, p.stderr)
	}
	return wheels.InstallXLACPU(ctx, xla.InstallCPU(), p.stderr)
}
