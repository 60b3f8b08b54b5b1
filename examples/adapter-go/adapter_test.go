package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/host"
)

func suite() adaptertest.Options {
	return adaptertest.Options{Texts: []string{"a dog on", " a red background"}, GradientTolerance: 2e-3}
}

func TestInProcess(t *testing.T) {
	dir := t.TempDir()
	if err := initialize(dir, ""); err != nil {
		t.Fatal(err)
	}
	adaptertest.TestLanguage(t, func() adapters.LanguageModel {
		m, err := open(&adapters.LoadRequest{Checkpoint: dir})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, suite())
}

// TestPlugin builds the plugin by the commands of its README and runs it as a process.
func TestPlugin(t *testing.T) {
	dir := t.TempDir()
	program, checkpoint := filepath.Join(dir, "bridge-adapter-bigram"), filepath.Join(dir, "checkpoint")
	for _, command := range [][]string{{"go", "build", "-o", program, "."}, {program, "-init", checkpoint}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	adaptertest.TestLanguage(t, func() adapters.LanguageModel {
		m, err := host.OpenLanguage(t.Context(), host.Config{
			Path: program, Load: adapters.LoadRequest{Checkpoint: checkpoint}})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, suite())
}

// TestTrainable trains a soft prompt for an unlikely caption by gradient descent, until the
// model generates it.
func TestTrainable(t *testing.T) {
	dir := t.TempDir()
	if err := initialize(dir, ""); err != nil {
		t.Fatal(err)
	}
	m, err := open(&adapters.LoadRequest{Checkpoint: dir})
	if err != nil {
		t.Fatal(err)
	}
	example := []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "two apple left a blue dog"}}
	prompts := adapters.NewTensor(adapters.Float32, 1, 8, m.spec.Width)
	for range 200 {
		resp, err := m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: example, Gradient: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range resp.Gradient.Float32s() {
			prompts.Float32s()[i] -= 0.05 * g
		}
	}
	answer, err := m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: prompts, Examples: example}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Texts[0] != example[0].Target {
		t.Errorf("the trained prompt gives %q, want %q", answer.Texts[0], example[0].Target)
	}
}

func TestOpenErrors(t *testing.T) {
	_, err := open(&adapters.LoadRequest{Checkpoint: t.TempDir()})
	if adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "-init") {
		t.Errorf("an empty folder gives %v", err)
	}
}
