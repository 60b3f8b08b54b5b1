package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/host"
)

const checkpoint = "checkpoint"

func load(t *testing.T) adapters.LanguageModel {
	t.Helper()
	m, err := open(&adapters.LoadRequest{Checkpoint: checkpoint, Backend: "go"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestInProcess(t *testing.T) {
	adaptertest.TestLanguage(t, func() adapters.LanguageModel { return load(t) }, adaptertest.Options{})
}

// TestPlugin builds the plugin and runs it as a process.
func TestPlugin(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bridge-adapter-attention")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	adaptertest.TestLanguage(t, func() adapters.LanguageModel {
		m, err := host.OpenLanguage(t.Context(), host.Config{Path: program,
			Load: adapters.LoadRequest{Checkpoint: checkpoint, Backend: "go"}})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, adaptertest.Options{})
}

// TestTrainable trains a soft prompt for a caption by gradient descent.
func TestTrainable(t *testing.T) {
	m := load(t)
	defer m.Close()
	example := []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "dog"}}
	prompts := adapters.NewTensor(adapters.Float32, 1, 4, m.Spec().Width)
	var first, last float32
	for step := range 60 {
		resp, err := m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: example, Gradient: true})
		if err != nil {
			t.Fatal(err)
		}
		if last = resp.Loss[0]; step == 0 {
			first = last
		}
		for i, g := range resp.Gradient.Float32s() {
			prompts.Float32s()[i] -= 0.1 * g
		}
	}
	if last > 0.8*first {
		t.Errorf("the loss falls from %g to %g, want a fifth less", first, last)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		req  adapters.LoadRequest
		kind adapters.Kind
	}{
		{adapters.LoadRequest{Checkpoint: t.TempDir()}, adapters.NotFound},
		{adapters.LoadRequest{Checkpoint: checkpoint, DType: adapters.BFloat16}, adapters.Unsupported},
		{adapters.LoadRequest{Checkpoint: checkpoint, Backend: "tpu"}, adapters.Unsupported},
		{adapters.LoadRequest{Checkpoint: checkpoint, Backend: "xla:/no/plugin.so"}, adapters.Unavailable},
	} {
		if _, err := open(&c.req); adapters.KindOf(err) != c.kind {
			t.Errorf("%+v: got %v, want kind %q", c.req, err, c.kind)
		}
	}
}
