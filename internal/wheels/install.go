package wheels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
)

// The names of the plugins that can be installed.
const (
	XLACPU  = "xla-cpu"
	XLACUDA = "xla-cuda"
)

// InstallXLACPU installs XLA's CPU plugin with a shell script. The output of the script goes
// to log.
func InstallXLACPU(ctx context.Context, script string, log io.Writer) error {
	if err := checkXLA(XLACPU); err != nil {
		return err
	}
	if err := runScript(ctx, script, log); err != nil {
		return err
	}
	return checkFound("cpu")
}

// InstallXLACUDA installs XLA's CUDA plugin and NVIDIA's libraries into the home folder, where
// go-xla looks for both. The output of pip goes to log.
func InstallXLACUDA(ctx context.Context, log io.Writer) error {
	if err := checkXLA(XLACUDA); err != nil {
		return err
	}
	if err := checkDriver(backends.DriverFile, log); err != nil {
		return err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return adapters.Errorf(adapters.Unsupported, "no home folder to install into: %w", err).WithRemedy("set HOME")
	}
	plugin, err := installCUDA(ctx, Pip{Log: log}, cudaWheels(), filepath.Join(home, ".local", "lib", "go-xla"))
	if err != nil {
		return err
	}
	fmt.Fprintln(log, "installed "+plugin)
	return checkFound("cuda")
}

// checkXLA returns an error if this binary cannot load XLA plugins.
func checkXLA(name string) error {
	if backends.Probe().XLA {
		return nil
	}
	return adapters.Errorf(adapters.Unsupported, "%s cannot be used: this binary was built without XLA", name).
		WithRemedy("build it with cgo (CGO_ENABLED=1 and a C compiler)")
}

// checkFound returns an error if bridge does not find a plugin that was just installed.
func checkFound(kind string) error {
	r := backends.Probe()
	if slices.ContainsFunc(r.Plugins, func(p backends.Plugin) bool { return p.Kind == kind }) {
		return nil
	}
	return adapters.Errorf(adapters.NotFound, "the plugin is installed, but not in a folder that bridge searches: %s",
		cmp.Or(strings.Join(r.Folders, ", "), "none")).
		WithRemedy("unset PJRT_PLUGIN_LIBRARY_PATH, or add the folder to it")
}

// checkDriver returns an error if CUDA 13 does not run on this system or on its NVIDIA
// driver. A missing driver is only logged, because the plugin may be installed for another
// machine.
func checkDriver(file string, log io.Writer) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return adapters.Errorf(adapters.Unsupported, "%s exists for Linux on x86-64 only, this is %s on %s", XLACUDA, runtime.GOOS, runtime.GOARCH)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(log, "this machine has no NVIDIA driver: the plugin will only be used on a machine that has one")
		return nil
	}
	return backends.CheckDriver(backends.ParseDriver(string(text)))
}

// runScript runs a shell script with its output in log.
func runScript(ctx context.Context, script string, log io.Writer) error {
	sh, err := exec.LookPath("sh")
	if err != nil {
		return adapters.Errorf(adapters.Unsupported, "%s is installed by a shell script, but sh was not found: %w", XLACPU, err)
	}
	cmd := exec.CommandContext(ctx, sh, "-c", script, "install-cpu.sh")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the script then removes its download
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return adapters.Errorf(adapters.Unavailable, "%s was not installed (%w); the output above has the reason", XLACPU, err)
	}
	return err
}
