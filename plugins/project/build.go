package project

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/execerr"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/internal/shell"
)

// Build runs the build command of plugin.toml in the project's folder, and checks that the
// executable exists afterwards. It writes the command and its output to out. Without a build
// command it only checks. A build that was interrupted or failed can be repeated.
func (p *Project) Build(ctx context.Context, out io.Writer) error {
	if strings.TrimSpace(p.Manifest.Build.Command) != "" {
		if err := p.run(ctx, out); err != nil {
			return err
		}
	}
	info, err := os.Stat(p.Program)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "the plugin's executable does not exist: %w", err).WithRemedy("%s", p.remedy())
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		_, err := exec.LookPath(p.Program)
		fact, remedy := execerr.Explain(p.Program, err)
		if fact == "" {
			fact, remedy = p.Program+" is not a plain file", "change [build] command so that it makes a program there"
		}
		return adapters.Errorf(adapters.Invalid, "the plugin's executable cannot be run: %s", fact).WithRemedy("%s", remedy)
	}
	return nil
}

// remedy says what to do if the executable is not where the manifest says.
func (p *Project) remedy() string {
	if p.Manifest.Build.Command == "" {
		return "put it there, or set [build] command in plugin.toml"
	}
	return "make [build] command and executable in plugin.toml agree"
}

// run runs the build command to its end, or kills all of it when ctx ends.
func (p *Project) run(ctx context.Context, out io.Writer) error {
	if err := p.checkTool(); err != nil {
		return err
	}
	fmt.Fprintf(out, "in %s: %s\n", printable.Name(p.Dir), printable.Text(p.Manifest.Build.Command))
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "umask 022\n"+p.Manifest.Build.Command) // because a folder that others can write to is not trusted
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return adapters.Errorf(adapters.Canceled, "building %s: %w", p.Manifest.Name, ctx.Err())
	}
	if err != nil {
		return adapters.Errorf(adapters.Invalid, "%s is not built: `%s` ended with %w", p.Manifest.Name, p.Manifest.Build.Command, err).
			WithRemedy("the output of the command is above; fix the problem, then run: bridge plugin build %s", shell.Path(p.Dir))
	}
	return nil
}

// checkTool returns an error if the program of the build command is missing.
func (p *Project) checkTool() error {
	words := strings.Fields(p.Manifest.Build.Command)
	tool := words[max(0, slices.IndexFunc(words, func(w string) bool { return !strings.Contains(w, "=") }))] // after the variables
	remedies := map[string]string{
		"go":      "install Go, see https://go.dev/doc/install, and add it to PATH",
		"python3": "install Python 3.9 or newer with its venv (on Debian and Ubuntu: apt install python3 python3-venv), and add it to PATH",
	}
	remedy, known := remedies[tool]
	if !known {
		return nil
	}
	if _, err := exec.LookPath(tool); err != nil {
		if errors.Is(err, exec.ErrDot) {
			return nil // the shell may know better
		}
		return adapters.Errorf(adapters.NotFound, "%s is missing, but the build of %s needs it: %w", tool, p.Manifest.Name, err).
			WithRemedy("%s; then: bridge plugin build %s", remedy, shell.Path(p.Dir))
	}
	return nil
}
