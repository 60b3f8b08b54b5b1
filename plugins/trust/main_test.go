package trust

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/sandbox"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
)

// TestMain makes this binary the plugin, the program in the sandbox, or the tests.
func TestMain(m *testing.M) {
	sandbox.Enter()
	if os.Getenv("BRIDGE_PLUGIN") != "" {
		serve(os.Getenv("TRUST_TEST_SAYS"))
	}
	testenv.Parallel(8)
	os.Exit(m.Run())
}

// serve is the plugin's main function. says describes how its description of itself differs
// from its manifest.
func serve(says string) {
	cfg := plugins.ServeConfig{Families: []adapters.Family{{Name: "fake", Kind: adapters.KindLanguage,
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return &model{adaptertest.NewFakeLanguage(req.ID, 1), req.Checkpoint, says == "less"}, nil
		}}}}
	if says == "version" {
		cfg.Version = "1.1.0"
	}
	if err := plugins.ServeWith(cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

// model does the action that the text of a request names.
type model struct {
	*adaptertest.FakeLanguage
	checkpoint string
	less       bool // it does not list the capability score
}

func (m *model) Spec() adapters.LanguageSpec {
	s := m.FakeLanguage.Spec()
	if m.less {
		s.Capabilities = slices.DeleteFunc(slices.Clone(s.Capabilities), func(c adapters.Capability) bool { return c == adapters.CapScore })
	}
	return s
}

func (m *model) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	what, path, _ := strings.Cut(req.Examples[0].Target, " ")
	switch what {
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "read":
		if _, err := os.ReadFile(path); err != nil {
			return nil, adapters.Errorf(adapters.NotFound, "%w", err)
		}
	case "temp":
		if err := os.WriteFile(filepath.Join(os.TempDir(), "x"), nil, 0o600); err != nil {
			return nil, adapters.Errorf(adapters.NotFound, "%w", err)
		}
	case "env":
		return nil, adapters.Errorf(adapters.NotFound, "%s is %q", path, os.Getenv(path))
	}
	return m.FakeLanguage.Loss(ctx, req)
}

func request(target string) *adapters.LossRequest {
	return &adapters.LossRequest{Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("a")}, Target: target}}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// project is a folder with a signed and locked plugin that works.
type project struct {
	t    *testing.T
	dir  string // of the plugin
	lock string
	keys map[string]string
	key  string // private
}

func newProject(t *testing.T) *project {
	t.Helper()
	root := t.TempDir()
	p := &project{t: t, dir: filepath.Join(root, "plugins", "x"), lock: filepath.Join(root, lockfile.Name)}
	must(t, os.MkdirAll(filepath.Join(p.dir, "lib"), 0o755))
	p.write("plugin.toml", "name = 'x'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\ncapabilities = ['gradient', 'score', 'embed-tokens', 'count-tokens', 'row-options', 'cancel-rows', 'stop-texts', 'log-probs', 'token-counts']\nenvironment = ['TRUST_TEST_TOKEN']\n")
	p.write("lib/data", "data")
	must(t, os.Symlink("data", filepath.Join(p.dir, "lib", "link")))
	self, err := os.Executable()
	must(t, err)
	must(t, os.WriteFile(p.at("bridge-adapter-x"), []byte("#!/bin/sh\nexec "+self+"\n"), 0o755)) // hashed faster than 30 MB
	public, private, err := release.NewKey()
	must(t, err)
	p.keys, p.key = map[string]string{"me": public}, private
	_, err = release.Sign(p.plugin(), private, "")
	must(t, err)
	p.pin()
	return p
}

// compile replaces the script that starts this binary by the binary, and pins it.
func (p *project) compile() {
	p.t.Helper()
	self, err := os.Executable()
	must(p.t, err)
	program, err := os.ReadFile(self)
	must(p.t, err)
	must(p.t, os.WriteFile(p.at("bridge-adapter-x"), program, 0o755))
	_, err = release.Sign(p.plugin(), p.key, "")
	must(p.t, err)
	p.pin()
}

func (p *project) at(name string) string { return filepath.Join(p.dir, filepath.FromSlash(name)) }

func (p *project) write(name, text string) {
	p.t.Helper()
	must(p.t, os.WriteFile(p.at(name), []byte(text), 0o644))
}

// replace changes a file's text.
func (p *project) replace(path, old, new string) {
	p.t.Helper()
	text, err := os.ReadFile(path)
	must(p.t, err)
	if !strings.Contains(string(text), old) {
		p.t.Fatalf("no %q in %s:\n%s", old, path, text)
	}
	must(p.t, os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644))
}

// plugin finds the plugin by its name.
func (p *project) plugin() store.Plugin {
	p.t.Helper()
	found, err := store.Folders{Project: filepath.Dir(p.dir)}.Find("x")
	must(p.t, err)
	return found
}

// lockedPin locks the present plugin.
func (p *project) pin() {
	p.t.Helper()
	now, err := Lock(p.plugin(), p.policy())
	must(p.t, err)
	must(p.t, lockfile.Write(p.lock, lockfile.Lock{Plugins: map[string]store.Pin{"x": now.Pin}}))
}

// policy returns a policy that trusts the project's key.
func (p *project) policy() Policy {
	p.t.Helper()
	keys, err := release.ParseKeys(p.keys)
	must(p.t, err)
	return Policy{Settings: Settings{keys: keys}, LockFile: p.lock}
}

// start starts the plugin under a guard.
func (p *project) start(g *Guard) (adapters.LanguageModel, error) {
	p.t.Helper()
	if err := g.Plugin().CheckExecutable(); err != nil {
		return nil, err
	}
	m, err := host.OpenLanguage(p.t.Context(), host.Config{Name: "x", Path: g.Plugin().Program, Load: adapters.LoadRequest{ID: "tiny"},
		Prepare: g.Prepare, Accept: func(s host.Identity) error { return g.Accept(s.Version, s.Protocol, s.Capabilities) }, Restart: host.Restart{Backoff: time.Millisecond}, Env: g.policy.AllowedVariables(g.plugin)})
	if err == nil {
		p.t.Cleanup(func() { _ = m.Close() })
	}
	return m, err
}

func wantAll(t *testing.T, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}

// chown needs root; CI runs as root.
func chown(path string, uid int) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("not root")
	}
	return os.Lchown(path, uid, -1)
}
