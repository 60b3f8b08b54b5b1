package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/conformance"
	"github.com/modular-bridging/bridge/plugins/host"
)

// smallestGolden opens a family's golden folder with the smallest checkpoint.
func smallestGolden(t *testing.T, family string) *golden.Folder {
	t.Helper()
	dirs, err := golden.Dirs(filepath.Join("..", "..", "adapters", family, "testdata"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("golden folders of %s: %v, %v", family, dirs, err)
	}
	var best *golden.Folder
	var least int64
	for _, dir := range dirs {
		folder, err := golden.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(0)
		files, _ := filepath.Glob(filepath.Join(folder.Checkpoint(), "*.safetensors"))
		for _, f := range files {
			if info, err := os.Stat(f); err == nil {
				size += info.Size()
			}
		}
		if best == nil || size > 0 && size < least {
			best, least = folder, size
		}
	}
	return best
}

// TestBuiltinAdaptersConform runs the conformance suite on every built-in family, in a process of
// its own (this binary) and with a golden folder. The cases that test the process itself, and
// those that repeat the contract in this process, run on one family of each architecture, because
// families share that code. The long form runs all cases on all families.
func TestBuiltinAdaptersConform(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range builtin.Families() {
		var selected *regexp.Regexp
		if !testenv.Long() && f.Name != "vit" && f.Name != "opt" && f.Name != "t5" {
			selected = regexp.MustCompile("^(contract|golden): ")
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			folder := smallestGolden(t, f.Name)
			target := conformance.Target{Kind: f.Kind, InProcess: &f, Config: host.Config{
				Name: f.Name, Path: self, Args: []string{"adapter", "serve", f.Name}, Family: f.Name,
				Load: adapters.LoadRequest{Checkpoint: folder.Checkpoint(), Backend: "go", ImageSize: folder.ImageSize()}}}
			r, err := conformance.Run(t.Context(), target, conformance.Options{
				Golden: []string{folder.Dir}, Run: selected, Patience: 10, Host: []string{self, "adapter", "host"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r.Summary())
			for _, c := range r.Results {
				if c.Verdict == adaptertest.Fail {
					t.Errorf("%s: %s\n%s", c.Name, strings.Join(c.Messages, "\n"), c.Advice())
				}
			}
			if skipped := r.Count(adaptertest.Skip); skipped > 4 {
				t.Errorf("%d cases were skipped", skipped)
			}
		})
	}
}

// TestPluginTest runs the command on an example, which is built as its README describes: as a
// project, as an executable and as a folder.
func TestPluginTest(t *testing.T) {
	project := t.TempDir()
	program := filepath.Join(project, "bridge-adapter-bigram")
	source, err := filepath.Abs(filepath.Join("..", "..", "examples", "adapter-go"))
	if err != nil {
		t.Fatal(err)
	}
	manifest := "name = 'bigram'\nversion = '0.1.0'\nprotocol = [1]\nkind = 'language-model'\n" +
		"capabilities = ['gradient', 'embed-tokens']\n" +
		"[build]\ncommand = 'go build -C " + source + " -o " + program +
		" . && ./bridge-adapter-bigram -init checkpoint'\n[test]\ncheckpoint = 'checkpoint'\n"
	if err := os.WriteFile(filepath.Join(project, "plugin.toml"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	junit := filepath.Join(t.TempDir(), "report.xml")
	out, errs := mustExit(t, exitDone, "plugin", "test", project, "--json", "--junit", junit, "--patience", "10")
	if !strings.Contains(errs, "go build -C") || !strings.Contains(errs, "pass") {
		t.Errorf("stderr shows neither the build nor progress:\n%s", errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct {
		Kind                    string
		Passed, Failed, Skipped int
	}
	err = json.Unmarshal([]byte(lines[len(lines)-1]), &last)
	if err != nil || last.Kind != "language-model" || last.Failed != 0 || last.Passed != len(lines)-1-last.Skipped {
		t.Errorf("the last of %d lines is %s (%v)", len(lines), lines[len(lines)-1], err)
	}
	if text, err := os.ReadFile(junit); err != nil || !strings.Contains(string(text), "<testsuites name=\"bridge plugin test\"") {
		t.Errorf("the JUnit file is %.80q, %v", text, err)
	}
	checkpoint := filepath.Join(project, "checkpoint")
	out, _ = mustExit(t, exitDone, "plugin", "test", program, "--checkpoint", checkpoint, "--run", "contract: (loss|gradient)$",
		"--text", "a dog on", "--target", " a red background")
	if !strings.Contains(out, "a language-model: 3 passed, 0 failed, 0 skipped") { // the third opens the model
		t.Errorf("the table ends with:\n%s", out)
	}
	if err := os.Remove(filepath.Join(project, "plugin.toml")); err != nil {
		t.Fatal(err)
	}
	mustExit(t, exitDone, "plugin", "test", project, "--checkpoint", checkpoint, "--run", "process: handshake")
}

func TestPluginTestRefusals(t *testing.T) {
	const least = "name = 'x'\nversion = '0.1.0'\nprotocol = [1]\nkind = 'language-model'\n"
	empty := t.TempDir()
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "plugin.toml"),
		[]byte(least+"[build]\ncommand = 'echo no compiler >&2; exit 7'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "plugin.toml"), []byte(least+"executable = '../x'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		text   string
		args   []string
	}{
		{exitUsage, "no built-in adapter \"optt\"; did you mean", []string{"builtin:optt"}},
		{exitUsage, "needs --checkpoint", []string{"builtin:opt"}},
		{exitFailed, "no plugin \"/no/such\"", []string{"/no/such"}},
		{exitFailed, "no checkpoint \"/no/such\"", []string{"builtin:opt", "--checkpoint", "/no/such"}},
		{exitFailed, "0 executables named bridge-adapter-NAME", []string{empty}},
		{exitFailed, "no compiler", []string{broken}},
		{exitFailed, "exit status 7", []string{broken}},
		{exitFailed, "want a path in the plugin's folder", []string{outside}},
		{exitUsage, "--run: ", []string{self, "--run", "("}},
		{exitUsage, "--kind is \"sound\"", []string{self, "--kind", "sound"}},
		{exitUsage, "must be used together", []string{self, "--text", "a"}},
		{exitUsage, "positive", []string{self, "--patience", "0"}},
		{exitUsage, "no case was run", []string{"/bin/true", "--run", "no such case"}},
		{exitFailed, "fails 1 of 1 cases", []string{"/bin/true", "--run", "started by hand"}},
	} {
		status, out, errs := runCommand(t, append([]string{"plugin", "test"}, c.args...)...)
		if status != c.status || !strings.Contains(out+errs, c.text) {
			t.Errorf("%v: status %d, want %d and %q:\n%s%s", c.args, status, c.status, c.text, out, errs)
		}
	}
}
