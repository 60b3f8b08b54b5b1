// Package wheels installs files that are published as Python wheels: XLA's PJRT plugins, NVIDIA's
// libraries, the programs of caption metrics. It downloads pinned wheels with pip, which uses its
// own configuration, and unpacks files from them. It runs no Python except pip, and must not know
// how the files are used.
package wheels

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

// Wheel is one file of a package index.
type Wheel struct {
	Package string
	Version string
	SHA256  string // of the wheel
}

// Pip runs pip.
type Pip struct {
	Command []string  // empty: $PIP, or python3 -m pip
	Log     io.Writer // receives the output of pip
}

func (p Pip) command() []string {
	if len(p.Command) > 0 {
		return p.Command
	}
	if own := strings.Fields(os.Getenv("PIP")); len(own) > 0 {
		return own
	}
	return []string{"python3", "-m", "pip"}
}

// Check returns an error if pip does not run.
func (p Pip) Check(ctx context.Context) error {
	c := p.command()
	if err := exec.CommandContext(ctx, c[0], append(c[1:], "--version")...).Run(); err != nil {
		return adapters.Errorf(adapters.Unavailable, "`%s` does not run: %w", strings.Join(c, " "), err).
			WithRemedy("install pip (on Debian: apt install python3-pip), or set PIP to a command that runs pip")
	}
	return nil
}

// Download downloads a wheel into an empty folder and returns its path. It returns an error if the
// wheel has another checksum.
func (p Pip) Download(ctx context.Context, w Wheel, dir string) (string, error) {
	c := append(p.command(), "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", dir, w.Package+"=="+w.Version)
	if err := Run(ctx, p.Log, c...); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", adapters.Errorf(adapters.Unavailable, "pip could not fetch %s %s: %w", w.Package, w.Version, err).
			WithRemedy("see the output of pip for the reason; pip's configuration sets the package index")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(found) != 1 {
		return "", adapters.Errorf(adapters.Corrupt, "pip fetched %d wheels for %s %s, want one", len(found), w.Package, w.Version)
	}
	sum, err := dirhash.FileSHA256(found[0])
	if err != nil {
		return "", err
	}
	if sum != w.SHA256 {
		return "", adapters.Errorf(adapters.Corrupt, "%s is not the wheel that was checked: its SHA-256 is %s, want %s", filepath.Base(found[0]), sum, w.SHA256).
			WithRemedy("nothing was installed; check the package index that pip uses")
	}
	return found[0], nil
}

// Run runs a program that downloads, such as pip. Its output goes to log. If ctx is done, Run asks
// the program to end, kills it after 10 seconds, and returns the error of ctx.
func Run(ctx context.Context, log io.Writer, command ...string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Unpack writes members of a wheel to dir. place returns a member's path in dir, or "" to skip
// the member. Unpack returns the number of members that it wrote.
func Unpack(wheel, dir string, place func(member string) string) (int, error) {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return 0, adapters.Errorf(adapters.Corrupt, "%s is not a wheel: %w", wheel, err)
	}
	defer z.Close()
	n := 0
	for _, member := range z.File {
		name := place(member.Name)
		if name == "" || strings.HasSuffix(member.Name, "/") {
			continue
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return n, adapters.Errorf(adapters.Corrupt, "%s contains the path %q, want a path inside the wheel", wheel, member.Name)
		}
		if err := unpack(member, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return n, diskfull.Explain(err, "the wheel cannot be unpacked", "free disk space and install again")
		}
		n++
	}
	return n, nil
}

func unpack(member *zip.File, path string) (err error) {
	in, err := member.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644|member.Mode().Perm()&0o111)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
