package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/project"
	"github.com/modular-bridging/bridge/runs"
)

// offline keeps go commands from the network, and from the settings of this repository's own
// builds.
func offline(t *testing.T) {
	t.Helper()
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOFLAGS", "-mod=readonly")
	if testenv.Long() { // packages built without simd are not in the build cache
		t.Setenv("GOEXPERIMENT", "")
	}
}

// runProgram runs a program in a folder and returns its output.
func runProgram(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// newProject creates a project with the command.
func newProject(t *testing.T, language string, kind adapters.ModelKind, flags ...string) *project.Project {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it is new") // a name that a shell would split
	args := []string{"plugin", "new", "fresh", "--lang", language, "--kind", string(kind), "--dir", dir}
	mustExit(t, exitDone, append(args, flags...)...)
	opened, err := project.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// checkConformance runs the contract suite on a project's program.
func checkConformance(t *testing.T, project *project.Project, kind adapters.ModelKind) {
	t.Helper()
	checkpoint := filepath.Join(project.Dir, "checkpoint")
	config := host.Config{Path: project.Program, Load: adapters.LoadRequest{Checkpoint: checkpoint}}
	if kind == adapters.KindVision {
		adaptertest.TestVision(t, func() adapters.VisionEncoder {
			m, err := host.OpenVision(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			return m
		})
		return
	}
	adaptertest.TestLanguage(t, func() adapters.LanguageModel {
		m, err := host.OpenLanguage(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, adaptertest.Options{Texts: []string{"a dog on", " a red background"}})
}

// checkTraining runs a shortened form of a project's recipe and checks that the loss falls.
func checkTraining(t *testing.T, project *project.Project) {
	t.Helper()
	t.Chdir(project.Dir)
	testenv.Cache(t)
	mustExit(t, exitDone, "train", "recipe.toml", "--backend", "go", "--out", "runs/short",
		"--set", "optimizer.steps=16", "--set", "optimizer.batch=8", "--set", "optimizer.warmup=2", "--set", "data.train.pictures=64",
		"--set", "evaluation.every=0", "--set", "evaluation.captions=4", "--set", "evaluation.examples=16")
	if s, err := runs.ReadSummary("runs/short"); err != nil || s.Encoder != "fresh" && s.LLM != "fresh" {
		t.Errorf("the models are named %s and %s, want one with the plugin's name, fresh; %v", s.Encoder, s.LLM, err)
	}
	text, err := os.ReadFile("runs/short/metrics.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	for line := range strings.Lines(string(text)) {
		var values map[string]any
		if err := json.Unmarshal([]byte(line), &values); err != nil {
			t.Fatal(err)
		}
		if loss, ok := values["stage-2/loss"].(float64); ok {
			losses = append(losses, loss)
		}
	}
	if n := len(losses); n < 16 || mean(losses[n-4:]) > 0.95*mean(losses[:4]) {
		t.Errorf("the losses are %v, want them to fall", losses)
	}
}

func mean(values []float64) (sum float64) {
	for _, v := range values {
		sum += v / float64(len(values))
	}
	return sum
}

// testedKinds returns the kinds of model that the tests below cover. TestGuide already tests
// language models, so only the long tests include them here.
func testedKinds() []adapters.ModelKind {
	if testenv.Long() {
		return project.Kinds()
	}
	return []adapters.ModelKind{adapters.KindVision}
}

// A new project in Go builds without a network, passes its own tests and the contract suite,
// and trains, without a change.
func TestPluginNewGo(t *testing.T) {
	offline(t)
	for _, kind := range testedKinds() {
		t.Run(string(kind), func(t *testing.T) {
			project := newProject(t, "go", kind)
			runProgram(t, project.Dir, "go", "test", "./...")
			checkConformance(t, project, kind)
			checkTraining(t, project)
		})
	}
}

// usePythonOffline makes python3 the interpreter of the tests. pip finds its packages without a
// network. The function returns the folders of the packages.
func usePythonOffline(t *testing.T) (packages []string) {
	t.Helper()
	python := testenv.Python(t)
	found := runProgram(t, ".", python, "-c", "import grpc, numpy, os\n"+
		"for m in grpc, numpy: print(os.path.dirname(os.path.dirname(m.__file__)))")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "python3"), []byte("#!/bin/sh\nexec '"+python+"' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	packages = strings.Fields(found)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("PYTHONPATH", strings.Join(packages, string(os.PathListSeparator)))
	t.Setenv("PIP_NO_INDEX", "1")
	return packages
}

// A new project in Python builds its .venv. After it was moved it passes its own tests and the
// contract suite, and trains, without a change.
func TestPluginNewPython(t *testing.T) {
	packages := usePythonOffline(t)
	for _, kind := range testedKinds() {
		t.Run(string(kind), func(t *testing.T) {
			project := newProject(t, "python", kind, "--no-build")
			// The versions that the tests have, because pip cannot download others.
			writeFile(t, filepath.Join(project.Dir, "requirements.txt"), "grpcio\nnumpy\n")
			_, stderr := mustExit(t, exitDone, "plugin", "build", project.Dir)
			if !strings.Contains(stderr, "-m venv --clear .venv") || !strings.Contains(stderr, "-m pip install") {
				t.Errorf("the build does not print its commands:\n%s", stderr)
			}
			if _, stderr := mustExit(t, exitDone, "plugin", "build", project.Dir); strings.Contains(stderr, "$ ") {
				t.Errorf("the second build runs the commands again:\n%s", stderr)
			}
			addTestPackages(t, project.Dir, packages)
			project = moveProject(t, project)
			runProgram(t, project.Dir, ".venv/bin/python", "-B", "-m", "unittest")
			checkConformance(t, project, kind)
			checkTraining(t, project)
		})
	}
}

// moveProject moves a project to another folder.
func moveProject(t *testing.T, p *project.Project) *project.Project {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(p.Dir, dir); err != nil {
		t.Fatal(err)
	}
	opened, err := project.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
