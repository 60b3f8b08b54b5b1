package project

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit/scene"
)

// pythonProject writes a project in Python whose build needs no network, with these
// requirements.
func pythonProject(t *testing.T, requirements string) *Project {
	t.Helper()
	if out, err := exec.Command("python3", "-c", "import ensurepip, venv").CombinedOutput(); err != nil {
		testenv.Lacking(t, "python3 with venv", errorOf(out, err))
	}
	t.Setenv("PIP_NO_INDEX", "1")
	o := options(filepath.Join(t.TempDir(), "p"))
	o.Language = "python"
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.Dir, "requirements.txt"), []byte(requirements), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func errorOf(out []byte, err error) error {
	return adapters.Errorf(adapters.NotFound, "%w: %s", err, out)
}

// Debian has ensurepip, which makes a .venv, in a separate package.
func TestPythonWithoutVenvIsNamed(t *testing.T) {
	p := pythonProject(t, "")
	lacking := t.TempDir()
	if err := os.WriteFile(filepath.Join(lacking, "ensurepip.py"), []byte("raise ImportError(name='ensurepip')"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", lacking)
	var out strings.Builder
	wantError(t, p.Build(t.Context(), &out), adapters.Invalid, "mine is not built", "bridge plugin build "+p.Dir)
	if !strings.Contains(out.String(), "this Python lacks ensurepip") || !strings.Contains(out.String(), "apt install python3-venv") {
		t.Errorf("it prints %s", out.String())
	}
}

// The build does only the steps that are left. If pip cannot fetch a package, the message has a
// workaround. The next build makes the .venv again, because the last one did not finish. A
// complete .venv is not changed. If its Python no longer exists, it is made again.
func TestPythonBuild(t *testing.T) {
	p := pythonProject(t, "no-such-package==1.0\n")
	var out strings.Builder
	wantError(t, p.Build(t.Context(), &out), adapters.Invalid, "mine is not built")
	if !strings.Contains(out.String(), "PIP_FIND_LINKS") || !strings.Contains(out.String(), "no-such-package") {
		t.Errorf("it prints %s", out.String())
	}

	python := filepath.Join(p.Dir, ".venv", "bin", "python")
	if err := os.Remove(python); err != nil { // as after an interrupt while .venv is made
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.Dir, "requirements.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := p.Build(t.Context(), &out); err != nil || !strings.Contains(out.String(), makesVenv) {
		t.Fatalf("the second build: %v\n%s", err, out.String())
	}
	check := exec.Command(python, "-c", "import sys, importlib.util; sys.exit(importlib.util.find_spec('bridge_plugin') is None)")
	if text, err := check.CombinedOutput(); err != nil {
		t.Errorf("the SDK is not there: %v\n%s", err, text)
	}

	out.Reset()
	if err := p.Build(t.Context(), &out); err != nil || strings.Contains(out.String(), "$ ") {
		t.Errorf("a complete .venv is made again: %v\n%s", err, out.String())
	}

	if err := errors.Join(os.Remove(python), os.Symlink("/no/such/python", python)); err != nil {
		t.Fatal(err)
	}
	if commands := buildCommands(t, p); !strings.Contains(commands, makesVenv) {
		t.Errorf("without its Python the build runs\n%s", commands)
	}
}

// makesVenv is the command that makes a .venv, as printed by the build.
const makesVenv = "-m venv --clear .venv"

// buildCommands returns the commands that a build would run, without running them.
func buildCommands(t *testing.T, p *Project) string {
	t.Helper()
	cmd := exec.Command("python3", "-c", `
import build
build.run = lambda command, failure: print(" ".join(command).replace(str(build.PROJECT) + "/", ""))
build.main()`)
	cmd.Dir = p.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// The launcher of a project that is not built says how to build it.
func TestPythonNotBuilt(t *testing.T) {
	p := pythonProject(t, "")
	out, err := exec.Command(p.Program).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "bridge plugin build "+p.Dir) {
		t.Errorf("it says %s, %v", out, err)
	}
}

// The template's model knows every word of the kit's captions.
func TestTemplateKnowsTheKit(t *testing.T) {
	text, err := templates.ReadFile("template/go-language-model/checkpoint/config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Words []string }
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, word := range config.Words {
		known[word] = true
	}
	for object := range scene.ObjectCount {
		for color := range scene.ColorCount {
			one := scene.Scene{A: scene.Object(object), B: scene.Object(object), Color: scene.Color(color), Large: color%2 == 0}
			pair, count := one, one
			pair.Kind, pair.Relation = scene.Pair, scene.Relation(color%2)
			count.Kind, count.Count = scene.Count, 2+color%(scene.MaxCount-1)
			for _, word := range strings.Fields(one.Caption() + " " + pair.Caption() + " " + count.Caption()) {
				if !known[word] {
					t.Errorf("the model does not know %q", word)
				}
			}
		}
	}
}
