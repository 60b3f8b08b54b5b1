package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// tampering is a change of a locked and signed plugin, with the words of the refusal.
type tampering struct {
	name   string
	change func(p *project)
	wants  []string
	// also has the words of the refusal if the plugin is not locked and changes between two
	// starts; nil if it is not refused.
	also []string
}

const (
	relock  = "lock it again: bridge plugin lock x"
	changed = "plugin x has changed since its first start"
)

func tamperings() []tampering {
	return []tampering{
		{"byte", func(p *project) { p.write("lib/data", "dat4") }, []string{"differs from its lock", "lib changed", relock}, []string{changed}},
		{"missing", func(p *project) { must(p.t, os.Remove(p.at("lib/data"))) }, []string{"lib changed", relock}, []string{changed}},
		{"added", func(p *project) { p.write("sitecustomize.py", "") }, []string{"sitecustomize.py was added", relock}, []string{changed}},
		{"symlink", func(p *project) {
			must(p.t, os.Remove(p.at("lib/link")))
			must(p.t, os.Symlink("../plugin.toml", p.at("lib/link")))
		}, []string{"lib changed", relock}, []string{changed}},
		{"symlink out", func(p *project) {
			must(p.t, os.Remove(p.at("lib/link")))
			must(p.t, os.Symlink("/etc/passwd", p.at("lib/link")))
		}, []string{"is a link out of the folder, to /etc/passwd", "put a copy in its place"}, []string{"is a link out of the folder"}},
		{"mode", func(p *project) { must(p.t, os.Chmod(p.at("lib/data"), 0o755)) }, []string{"lib changed", relock}, []string{changed}},
		{"writable file", func(p *project) { must(p.t, os.Chmod(p.at("lib/data"), 0o666)) }, []string{"everybody can write to it", "chmod o-w"}, []string{"chmod o-w"}},
		{"writable folder", func(p *project) { must(p.t, os.Chmod(p.dir, 0o777)) }, []string{"everybody can write to it", "chmod o-w"}, []string{"chmod o-w"}},
		{"owner", func(p *project) {
			if chown(p.at("lib/data"), 12345) != nil {
				p.t.Skip("only root can give a file away")
			}
		}, []string{"belongs to user 12345", "chown it to yourself"}, []string{"belongs to user 12345"}},
		{"writable folder above", func(p *project) { must(p.t, os.Chmod(filepath.Dir(p.dir), 0o777)) }, []string{"everybody can write to it", "chmod o-w"}, []string{"chmod o-w"}},
		{"pipe", func(p *project) { must(p.t, syscall.Mkfifo(p.at("lib/pipe"), 0o600)) }, []string{"is neither a file, a folder nor a link", "remove it"}, []string{"is neither a file"}},
		{"setuid", func(p *project) { must(p.t, os.Chmod(p.at("lib/data"), 0o644|os.ModeSetuid)) }, []string{"another user's rights", "chmod ug-s"}, []string{"chmod ug-s"}},
		{"folder", func(p *project) {
			must(p.t, os.Rename(p.dir, p.dir+"-was"))
			must(p.t, os.CopyFS(p.dir+"-other", os.DirFS(p.dir+"-was")))
			must(p.t, os.WriteFile(filepath.Join(p.dir+"-other", "lib", "data"), []byte("dat4"), 0o644))
			must(p.t, os.Symlink(p.dir+"-other", p.dir))
		}, []string{"differs from its lock", "lib changed", relock}, []string{changed}},
		{"bytecode", func(p *project) {
			must(p.t, os.Mkdir(p.at("lib/__pycache__"), 0o755))
			p.write("lib/__pycache__/x.cpython-311.pyc", "")
		}, []string{"holds code that does not belong to the plugin", "lib/__pycache__/x.cpython-311.pyc", "plugins/x/lib/__pycache__; if"}, []string{"holds code that does not belong"}},
		{"code among runs", func(p *project) {
			must(p.t, os.Mkdir(p.at("runs"), 0o755))
			p.write("runs/__init__.py", "")
		}, []string{"holds code that does not belong to the plugin", "runs/__init__.py"}, []string{"runs/__init__.py"}},
		{"excluded by the manifest", func(p *project) {
			p.replace(p.at("plugin.toml"), "kind =", "exclude = ['numpy']\nkind =")
			must(p.t, os.Mkdir(p.at("numpy"), 0o755))
			p.write("numpy/__init__.py", "")
		}, []string{"plugin.toml changed", relock}, []string{changed}},
		{"executable", func(p *project) {
			must(p.t, os.Remove(p.at("bridge-adapter-x")))
			must(p.t, os.WriteFile(p.at("bridge-adapter-x"), []byte("#!/bin/sh\n"), 0o755))
		}, []string{"bridge-adapter-x changed", relock}, []string{changed}},
		{"no executable", func(p *project) { must(p.t, os.Remove(p.at("bridge-adapter-x"))) }, []string{"has no executable", "put it there"}, []string{"has no executable"}},
		{"manifest version", func(p *project) { p.replace(p.at("plugin.toml"), "1.0.0", "1.0.1") },
			[]string{"the version was 1.0.0, is 1.0.1", "plugin.toml changed", relock}, []string{changed}},
		{"capabilities", func(p *project) { p.replace(p.at("plugin.toml"), "'gradient', ", "") },
			[]string{"its protocol or its capabilities differ", relock}, []string{changed}},
		{"lock digest", func(p *project) { p.replace(p.lock, "digest = \"tree1-sha256:", "digest = \"sha256:") }, []string{"the digest was sha256:", relock}, nil},
		{"lock version", func(p *project) { p.replace(p.lock, `version = "1.0.0"`, `version = "0.9.0"`) }, []string{"the version was 0.9.0, is 1.0.0", relock}, nil},
		{"lock signer", func(p *project) { p.replace(p.lock, `signed_by = "`, `signed_by = "0`) }, []string{"it was signed by the key 0", relock}, nil},
		{"lock entry", func(p *project) {
			p.replace(p.lock, "[plugins.x]", "[plugins.y]")
			p.replace(p.lock, "[plugins.x.", "[plugins.y.")
		},
			[]string{"plugin x is not in ", "only locked plugins may start", "bridge plugin lock x"}, nil},
		{"lock file", func(p *project) { must(p.t, os.Remove(p.lock)) }, []string{"plugin x is not in ", "bridge plugin lock x"}, nil},
		{"lock damaged", func(p *project) { p.replace(p.lock, "[plugins.x]", "[plugins.x") }, []string{"bridge.lock", "not valid TOML"}, []string{"not valid TOML"}},
		{"lock writable", func(p *project) { must(p.t, os.Chmod(p.lock, 0o666)) }, []string{"bridge.lock", "everybody can write to it", "chmod o-w"}, []string{"chmod o-w"}},
		{"signature", func(p *project) { p.replace(p.at("plugin.release.minisig"), "comment: x 1.0.0", "comment: x 1.0.1") },
			[]string{"plugin.release.minisig changed", relock}, []string{changed}},
		{"signature removed", func(p *project) { must(p.t, os.Remove(p.at("plugin.release.minisig"))) },
			[]string{"plugin.release.minisig is missing", relock}, []string{changed}},
		{"release", func(p *project) { p.replace(p.at("plugin.release"), "1.0.0", "1.0.1") },
			[]string{"plugin.release changed", relock}, []string{changed}},
	}
}

// A plugin that was changed in any way and at any time does not start, and the error says what
// to do.
func TestTamper(t *testing.T) {
	t.Parallel()
	for _, c := range tamperings() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			t.Run("before the check", func(t *testing.T) {
				p := newProject(t)
				c.change(p)
				_, err := p.start(p.strict())
				wantAll(t, err, c.wants...)
			})
			t.Run("after the check", func(t *testing.T) {
				p := newProject(t)
				g := p.strict()
				v, err := g.Check()
				if err != nil || !v.Locked || v.Signer.Name != "me" {
					t.Fatalf("%+v, %v", v.Signer, err)
				}
				c.change(p)
				_, err = p.start(g)
				wantAll(t, err, c.wants...)
			})
			t.Run("between two starts", func(t *testing.T) {
				p := newProject(t)
				wantAll(t, p.dieAfter(p.strict(), c.change), c.wants...)
			})
			if c.also == nil {
				return
			}
			t.Run("between two starts, not locked", func(t *testing.T) {
				p := newProject(t)
				p.unpin(c)
				wantAll(t, p.dieAfter(NewGuard(p.plugin(), p.policy()), c.change), c.also...)
			})
			t.Run("before the start, not locked but signed", func(t *testing.T) {
				p := newProject(t)
				p.unpin(c)
				policy := p.policy()
				policy.RequireSigned = true
				c.change(p)
				_, err := p.start(NewGuard(p.plugin(), policy))
				switch {
				case c.also[0] != changed:
					wantAll(t, err, c.also...)
				case c.name == "signature removed":
					wantAll(t, err, "plugin x is not signed, and require_signed is set", "bridge plugin sign")
				default:
					wantAll(t, err, "the signature of plugin x is not valid", "bridge plugin sign")
				}
			})
		})
	}
}

// strict requires a lock.
func (p *project) strict() *Guard {
	policy := p.policy()
	policy.Locked = true
	return NewGuard(p.plugin(), policy)
}

// unpin removes the lock file, except for a tampering that changes it.
func (p *project) unpin(c tampering) {
	if !strings.HasPrefix(c.name, "lock ") {
		must(p.t, os.Remove(p.lock))
	}
}

// dieAfter starts the plugin, changes something, lets the process die, and returns the error of
// the next start.
func (p *project) dieAfter(g *Guard, change func(*project)) error {
	p.t.Helper()
	m, err := p.start(g)
	must(p.t, err)
	change(p)
	_, err = m.Loss(p.t.Context(), request("die"))
	var refused *adapters.Error
	if errors.As(err, &refused) && refused.Kind == adapters.Unavailable {
		p.t.Errorf("it was started again: %v", err)
	}
	return err
}

// A plugin may start if a change was undone.
func TestUntampered(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	policy := p.policy()
	policy.Locked, policy.RequireSigned = true, true
	g := NewGuard(p.plugin(), policy)
	m, err := p.start(g)
	must(t, err)
	if _, err := m.Loss(t.Context(), request("hello")); err != nil {
		t.Error(err)
	}
	p.write("lib/data", "dat4")
	p.write("lib/data", "data")
	must(t, os.Chmod(p.at("lib/data"), 0o600))
	if _, err := g.Check(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"runs/t", ".git/hooks"} { // does not belong to the plugin
		must(t, os.MkdirAll(p.at(name), 0o755))
	}
	p.write("runs/t/report.html", "")
	p.write("bridge.lock", "")
	must(t, os.WriteFile(p.at(".git/hooks/pre-commit"), nil, 0o755))
	if v, err := g.Check(); err != nil || len(v.Excluded) != 3 {
		t.Errorf("excluded %v, %v", v.Excluded, err)
	}
	if _, err := os.Stat(p.at("lib/__pycache__")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the plugin wrote into its folder")
	}
}
