package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/wheels"
	"github.com/modular-bridging/bridge/tools/xla"
)

// What bridge doctor --install takes.
const (
	installXLACPU  = "xla-cpu"
	installXLACuda = "xla-cuda"
)

func installFlag() cli.Flag {
	return &cli.StringFlag{Name: "install", Usage: "install `WHAT` before looking: xla-cpu or xla-cuda (through python3 and pip)",
		Action: func(_ *cli.Context, what string) error {
			if what != installXLACPU && what != installXLACuda {
				return usagef("--install is %q, want %s or %s%s", what, installXLACPU, installXLACuda,
					didyoumean.Hint(what, []string{installXLACPU, installXLACuda}))
			}
			return nil
		}}
}

// install does what --install asks for. What it prints goes to stderr.
func (p *program) install(ctx context.Context, what string) error {
	r := backends.Probe()
	if !r.XLA {
		return adapters.Errorf(adapters.Unsupported, "this binary could not load what --install %s installs: it was built without XLA", what).
			WithRemedy("build it with cgo (CGO_ENABLED=1 and a C compiler)")
	}
	kind, err := "cpu", error(nil)
	if what == installXLACuda {
		kind, err = "cuda", p.installCuda(ctx, wheels.Cuda(), driverFile)
	} else {
		err = p.installCPU(ctx, xla.InstallCPU())
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(backends.Probe().Plugins, func(f backends.Plugin) bool { return f.Kind == kind }) {
		return adapters.Errorf(adapters.NotFound, "the plugin is installed, but not where bridge looks: %s", list(r.Folders)).
			WithRemedy("unset PJRT_PLUGIN_LIBRARY_PATH, or add the folder to it")
	}
	return nil
}

// driverFile is where NVIDIA's driver says its version.
const driverFile = "/proc/driver/nvidia/version"

// installCuda installs XLA's CUDA plugin with NVIDIA's libraries beside it, where
// go-xla looks for both.
func (p *program) installCuda(ctx context.Context, pinned []wheels.Wheel, driver string) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return adapters.Errorf(adapters.Unsupported, "%s exists for Linux on x86-64 only, this is %s on %s", installXLACuda, runtime.GOOS, runtime.GOARCH)
	}
	text, err := os.ReadFile(driver)
	switch version := wheels.DriverVersion(string(text)); {
	case err != nil:
		fmt.Fprintln(p.stderr, "there is no NVIDIA driver on this machine: what is installed is used where there is one")
	case version > 0 && version < wheels.CudaDriver:
		return adapters.Errorf(adapters.Unsupported, "NVIDIA's driver is %d, CUDA 13 needs %d or newer", version, wheels.CudaDriver).
			WithRemedy("update the driver; or put a plugin for an older CUDA, named %s, with its libraries into a folder that PJRT_PLUGIN_LIBRARY_PATH names", wheels.CudaPlugin)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return adapters.Errorf(adapters.Unsupported, "there is no home folder to install into: %w", err).WithRemedy("set HOME")
	}
	plugin, err := wheels.InstallCuda(ctx, wheels.Pip{Log: p.stderr}, pinned, filepath.Join(home, ".local", "lib", "go-xla"))
	if err == nil {
		fmt.Fprintln(p.stderr, "installed "+plugin)
	}
	return err
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
