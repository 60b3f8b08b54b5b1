package main

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/nearest"
	"github.com/modular-bridging/bridge/tools/xla"
)

// What bridge doctor --install takes.
const (
	installXLACPU  = "xla-cpu"
	installXLACuda = "xla-cuda"
)

func installFlag() cli.Flag {
	return &cli.StringFlag{Name: "install", Usage: "install `WHAT` before looking: xla-cpu (through python3 and pip)",
		Action: func(_ *cli.Context, what string) error {
			if what != installXLACPU && what != installXLACuda {
				return usagef("--install is %q, want %s or %s%s", what, installXLACPU, installXLACuda,
					nearest.Hint(what, []string{installXLACPU, installXLACuda}))
			}
			return nil
		}}
}

// install does what --install asks for. What it prints goes to stderr.
func (p *program) install(ctx context.Context, what string) error {
	r := backends.Probe()
	if what == installXLACuda {
		return adapters.Errorf(adapters.Unsupported, "bridge cannot install %s yet", what).
			WithRemedy("put a PJRT CUDA plugin, named pjrt_c_api_cuda_plugin.so, into one of %s; `bridge doctor` then shows it", list(r.Folders))
	}
	if !r.XLA {
		return adapters.Errorf(adapters.Unsupported, "this binary could not load what --install %s installs: it was built without XLA", what).
			WithRemedy("build it with cgo (CGO_ENABLED=1 and a C compiler)")
	}
	if err := p.installCPU(ctx, xla.InstallCPU()); err != nil {
		return err
	}
	if !slices.ContainsFunc(backends.Probe().Plugins, func(f backends.Plugin) bool { return f.Kind == "cpu" }) {
		return adapters.Errorf(adapters.NotFound, "the plugin is installed, but not where bridge looks: %s", list(r.Folders)).
			WithRemedy("unset PJRT_PLUGIN_LIBRARY_PATH, or add the folder to it")
	}
	return nil
}

// installCPU runs the script that installs XLA's CPU plugin.
func (p *program) installCPU(ctx context.Context, script string) error {
	sh, err := exec.LookPath("sh")
	if err != nil {
		return adapters.Errorf(adapters.Unsupported, "%s is installed by a shell script, and there is no sh: %w", installXLACPU, err)
	}
	cmd := exec.CommandContext(ctx, sh, "-c", script, "install-cpu.sh")
	cmd.Stdout, cmd.Stderr = p.stderr, p.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it then removes what it has fetched
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return adapters.Errorf(adapters.Unavailable, "%s was not installed (%w); what was printed above says why", installXLACPU, err)
	}
	return err
}
