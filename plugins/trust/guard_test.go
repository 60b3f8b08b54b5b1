package trust

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/sandbox"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
)

// A program that replaces the checked one does not run.
func TestCheckedProgramStarts(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.compile()
	g := p.strict()
	cmd := &exec.Cmd{Path: g.Plugin().Program, Args: []string{"x"}, Env: []string{"BRIDGE_PLUGIN="}}
	must(t, g.Prepare(cmd))
	must(t, os.Remove(g.Plugin().Program))
	must(t, os.WriteFile(g.Plugin().Program, []byte("#!/bin/sh\necho swapped\n"), 0o755))
	cmd.Args = []string{"x", "-test.run=^$"}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "swapped") {
		t.Errorf("it ran %q, %v", out, err)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	m, err := newProjectOf(t, (*project).compile).begin()
	must(t, err)
	if _, err := m.Loss(t.Context(), request("hello")); err != nil {
		t.Error(err)
	}
}

func newProjectOf(t *testing.T, change func(*project)) *project {
	t.Helper()
	p := newProject(t)
	change(p)
	return p
}

// begin starts the plugin with --locked.
func (p *project) begin() (adapters.LanguageModel, error) {
	p.t.Helper()
	return p.start(p.strict())
}

func TestLockedPolicy(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	must(t, os.Remove(p.lock))
	var log bytes.Buffer
	policy := p.policy()
	policy.Log = slog.New(slog.NewTextHandler(&log, nil))
	g := NewGuard(p.plugin(), policy)
	for range 2 {
		v, err := g.Check()
		if err != nil || v.Locked {
			t.Fatalf("not locked: %+v, %v", v.Locked, err)
		}
	}
	if got := log.String(); strings.Count(got, "is not locked") != 1 || !strings.Contains(got, "bridge plugin lock") {
		t.Errorf("the log says %q, want it once", got)
	}
}

func TestRequireSigned(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	policy := p.policy()
	policy.RequireSigned = true
	if v, err := NewGuard(p.plugin(), policy).Check(); err != nil || v.Signer.Name != "me" {
		t.Errorf("signed by %v, %v", v.Signer, err)
	}
	stranger := policy
	stranger.keys = release.Keys{}
	_, err := NewGuard(p.plugin(), stranger).Check()
	wantAll(t, err, "is signed by the key ", "which you do not trust", "under [keys] in plugins.toml")
	if _, err := Lock(p.plugin(), stranger); err == nil {
		t.Error("an unsigned plugin was locked, but a signature is required")
	}
	stranger.RequireSigned = false
	if now, err := Lock(p.plugin(), stranger); err != nil || now.Pin.SignedBy != "" {
		t.Errorf("an unchecked signature was pinned: %+v, %v", now.Pin, err)
	}
	must(t, os.Remove(p.lock))
	if _, err := NewGuard(p.plugin(), stranger).Check(); err != nil {
		t.Errorf("an unknown key, with no signature required: %v", err)
	}
}

// An executable without a manifest is pinned too.
func TestExecutableAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "my-adapter")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
	plugin, err := store.OpenPath(path)
	must(t, err)
	g := NewGuard(plugin, Policy{})
	if v, err := g.Check(); err != nil || v.Pin.Digest == "" || v.Signer.Signed {
		t.Errorf("%+v, %v", v, err)
	}
	must(t, os.WriteFile(path, []byte("#!/bin/sh\nexit 3\n"), 0o755))
	if _, err := g.Check(); err == nil {
		t.Error("it changed")
	}
	_, err = NewGuard(plugin, Policy{Settings: Settings{Locked: true}, LockFile: "none"}).Check()
	wantAll(t, err, "plugin my-adapter is not in none", "bridge plugin lock "+path)
	must(t, os.Chmod(path, 0o777))
	_, err = NewGuard(plugin, Policy{}).Check()
	wantAll(t, err, "everybody can write to it")
}

// A plugin sees only the variables that the allow-list, the recipe and the user allow.
func TestEnvironment(t *testing.T) {
	t.Setenv("TRUST_TEST_TOKEN", "secret")
	p := newProject(t)
	for name, c := range map[string]struct {
		policy func(*Policy)
		want   string
		wanted int
	}{
		"requested, not allowed": {func(*Policy) {}, `is ""`, 1},
		"by the recipe":          {func(p *Policy) { p.Environment = []string{"TRUST_TEST_TOKEN"} }, `is "secret"`, 0},
		"by the user":            {func(p *Policy) { p.Settings.Environment = map[string][]string{"x": {"TRUST_TEST_TOKEN"}} }, `is "secret"`, 0},
		"to another":             {func(p *Policy) { p.Settings.Environment = map[string][]string{"y": {"TRUST_TEST_TOKEN"}} }, `is ""`, 1},
	} {
		policy := p.policy()
		c.policy(&policy)
		m, err := p.start(NewGuard(p.plugin(), policy))
		must(t, err)
		_, err = m.Loss(t.Context(), request("env TRUST_TEST_TOKEN"))
		wantAll(t, err, "TRUST_TEST_TOKEN "+c.want)
		if got := policy.MissingVariables(p.plugin()); len(got) != c.wanted {
			t.Errorf("%s: wanted %v", name, got)
		}
	}
}

func TestSandbox(t *testing.T) {
	t.Parallel()
	if err := sandbox.Supported(); err != nil {
		testenv.Lacking(t, "a kernel that can confine", err)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(outside, nil, 0o644))
	checkpoint := t.TempDir()
	blob := filepath.Join(t.TempDir(), "blob")
	must(t, os.WriteFile(blob, nil, 0o644))
	must(t, os.Symlink(blob, filepath.Join(checkpoint, "weights")))
	self, err := os.Executable()
	must(t, err)
	for name, compile := range map[string]bool{"script": false, "program": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			if compile {
				p.compile()
			}
			policy := p.policy()
			policy.Sandbox, policy.Checkpoint, policy.Libraries = SandboxOn, checkpoint, []string{filepath.Dir(self)} // the folder of the script's program
			m, err := p.start(NewGuard(p.plugin(), policy))
			must(t, err)
			for _, allowed := range []string{"read " + p.at("lib/data"), "read " + filepath.Join(checkpoint, "weights"), "temp", "hello"} {
				if _, err := m.Loss(t.Context(), request(allowed)); err != nil {
					t.Errorf("%s: %v", allowed, err)
				}
			}
			_, err = m.Loss(t.Context(), request("read "+outside))
			wantAll(t, err, "permission denied")
		})
	}
	p := newProject(t)
	m, err := p.start(NewGuard(p.plugin(), p.policy()))
	must(t, err)
	if _, err := m.Loss(t.Context(), request("read "+outside)); err != nil {
		t.Errorf("without a sandbox: %v", err)
	}
}

func TestSandboxAndNetwork(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.replace(p.at("plugin.toml"), "kind =", "network = true\nkind =")
	must(t, os.Remove(p.lock))
	policy := p.policy()
	policy.keys, policy.Sandbox = nil, SandboxOn
	_, err := p.start(NewGuard(p.plugin(), policy))
	wantAll(t, err, "plugin x needs the network", `sandbox = "none"`)
}

// A confined plugin sees the libraries of a Python outside the system, but not the other files
// next to it.
func TestInterpreters(t *testing.T) {
	got := interpreters([]string{"/home/me/bin/python3"})
	if want := "/home/me/bin/python3 /home/me/lib /home/me/lib64"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	if s, err := ReadSettings(dir); err != nil || s.Locked || s.Sandbox != "" {
		t.Errorf("without a file %+v, %v", s, err)
	}
	public, _, err := release.NewKey()
	must(t, err)
	write := func(text string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(dir, SettingsFile), []byte(text), 0o644))
	}
	write("locked = true\nrequire_signed = true\nsandbox = 'on'\n[keys]\nme = '" + public + "'\n[environment]\nx = ['A', 'B']\n")
	s, err := ReadSettings(dir)
	if err != nil || !s.Locked || !s.RequireSigned || s.Sandbox != SandboxOn || len(s.PublicKeys()) != 1 || len(s.Environment["x"]) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	write("lockd = true\nsandbox = 'onn'\n[keys]\nme = 'RW'\n[environment]\nx = ['BRIDGE_X']\n")
	_, err = ReadSettings(dir)
	wantAll(t, err, "lockd: unknown key; did you mean locked?", `sandbox: is "onn", want none or on`, `keys: the key "me"`, "environment.x: holds \"BRIDGE_X\"")
}

// The running program has to match the manifest of a pinned plugin. For other plugins, a
// mismatch is a warning.
func TestManifestMismatch(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"more":    {"'gradient', ", "", `the program's model has the capability "gradient", which plugin.toml does not name`},
		"less":    {"'gradient'", "'gradient'", `plugin.toml names the capability "score", which the program's model lacks`},
		"version": {"'gradient'", "'gradient'", `plugin.toml says version 1.0.0, the program "1.1.0"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.replace(p.at("plugin.toml"), c.old, c.new)
			_, err := release.Sign(p.plugin(), p.key, "")
			must(t, err)
			policy := p.policy()
			t.Setenv("TRUST_TEST_SAYS", name)
			policy.Environment = []string{"TRUST_TEST_SAYS"}
			var log bytes.Buffer
			policy.Log = slog.New(slog.NewTextHandler(&log, nil))
			must(t, os.Remove(p.lock))
			_, err = p.start(NewGuard(p.plugin(), policy))
			must(t, err)
			if text := strings.ReplaceAll(log.String(), `\"`, `"`); strings.Count(text, c.want) != 1 || !strings.Contains(text, "rebuild the program or correct plugin.toml") {
				t.Errorf("the log says %s, want %q once", text, c.want)
			}
			signed := policy
			signed.RequireSigned = true
			_, err = p.start(NewGuard(p.plugin(), signed))
			wantAll(t, err, "plugin x does not match its manifest: "+c.want, "rebuild the program or correct plugin.toml", "rpc Load")
			p.pin()
			_, err = p.start(NewGuard(p.plugin(), policy))
			wantAll(t, err, "plugin x does not match its manifest: "+c.want)
		})
	}
}

// An author works in a folder that is named by its path, and so does the run that starts the
// plugin. The plugin is not pinned, and it is started again after a crash.
func TestAuthorsFolder(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	must(t, os.Remove(p.lock))
	must(t, os.Remove(p.at(store.SignatureFile)))
	byPath, err := store.OpenPath(p.dir)
	must(t, err)
	m, err := p.start(NewGuard(byPath, p.policy()))
	must(t, err)
	must(t, os.MkdirAll(p.at("runs/t"), 0o755))
	must(t, os.MkdirAll(p.at("lib/__pycache__"), 0o755))
	p.write("runs/t/log.txt", "")
	p.write("lib/__pycache__/x.pyc", "")
	p.write("lib/data", "dat4")
	_, err = m.Loss(t.Context(), request("die"))
	wantAll(t, err, "died 4 times in a row")
	if _, err := m.Loss(t.Context(), request("hello")); err != nil {
		t.Errorf("after crashes: %v", err)
	}
	_, err = Lock(byPath, p.policy())
	wantAll(t, err, "holds code that does not belong to the plugin", "lib/__pycache__/x.pyc")
	must(t, os.RemoveAll(p.at("lib/__pycache__")))
	now, err := Lock(byPath, p.policy())
	if err != nil || len(now.Excluded) != 1 || now.Excluded[0] != "runs" {
		t.Errorf("excluded %v, %v", now.Excluded, err)
	}
}

// Build outputs are not signed: if signatures are required, a lock has to pin them. They are
// code, and any change is found.
func TestBuildOutputs(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	must(t, os.Remove(p.lock))
	text, err := os.ReadFile(p.at("plugin.toml"))
	must(t, err)
	p.write("plugin.toml", string(text)+"[build]\nmakes = ['.venv']\n")
	r, err := release.Sign(p.plugin(), p.key, "")
	must(t, err)
	if len(r.Built) > 0 {
		t.Errorf("not built yet, and %v is not signed", r.Built)
	}
	policy := p.policy()
	policy.RequireSigned = true
	if _, err := NewGuard(p.plugin(), policy).Check(); err != nil {
		t.Errorf("without a build: %v", err)
	}
	_, err = Lock(p.plugin(), policy)
	wantAll(t, err, "plugin x is not built here: it lacks .venv")
	must(t, os.Mkdir(p.at(".venv"), 0o755))
	p.write(".venv/x.py", "")
	loose := policy
	loose.RequireSigned = false
	if v, err := NewGuard(p.plugin(), loose).Check(); err != nil || !strings.HasSuffix(v.Signer.String(), ", without .venv") {
		t.Errorf("built, it is signed by %s, %v", v.Signer, err)
	}
	_, err = NewGuard(p.plugin(), policy).Check()
	wantAll(t, err, "plugin x is signed by me (key ", "without .venv, which was built here, and require_signed is set", "bridge plugin lock x")
	now, err := Lock(p.plugin(), policy)
	must(t, err)
	must(t, lockfile.Write(p.lock, lockfile.Lock{Plugins: map[string]store.Pin{"x": now.Pin}}))
	if v, err := NewGuard(p.plugin(), policy).Check(); err != nil || !v.Locked {
		t.Errorf("built and locked: %v", err)
	}
	p.write(".venv/x.py", "1")
	_, err = NewGuard(p.plugin(), policy).Check()
	wantAll(t, err, "plugin x differs from its lock", ".venv changed")
}

// A plugin in its author's folder may change while a run uses it. A start after that says so,
// because the run's results then come from two programs.
func TestChangeBetweenStartsIsWarnedOf(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	for _, signature := range []string{store.ReleaseFile, store.SignatureFile} {
		must(t, os.Remove(p.at(signature)))
	}
	found, err := store.OpenPath(p.dir)
	must(t, err)
	var log bytes.Buffer
	g := NewGuard(found, Policy{LockFile: filepath.Join(t.TempDir(), "none"), Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, text := range []string{"dat4", "dat5", "dat5"} {
		_, err = g.Check()
		must(t, err)
		p.write("lib/data", text)
	}
	if got := log.String(); strings.Count(got, "plugin x has changed since its first start") != 2 || !strings.Contains(got, "lib changed") {
		t.Errorf("the log says\n%s", got)
	}
}
