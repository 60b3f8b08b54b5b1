package hfadapter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/golden/goldentest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
)

const script = "examples/adapter-python-hf/adapter.py"

// open starts the plugin on a checkpoint folder, with one thread.
func open(t *testing.T, program string, load adapters.LoadRequest) adapters.LanguageModel {
	t.Helper()
	m, err := host.OpenLanguage(t.Context(), host.Config{Path: program, Load: load, Env: []string{"OMP_NUM_THREADS=1"}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The golden cases were computed by transformers, one example at a time and unpadded.
func TestGolden(t *testing.T) {
	program := testenv.Program(t, testenv.Torch(t), script)
	for _, family := range []string{"opt", "t5", "llama", "gpt2", "qwen", "gemma2"} {
		dirs, err := golden.Dirs(filepath.Join(testenv.Root(), "adapters", family, "testdata"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("family %s has the golden folders %v, %v", family, dirs, err)
		}
		for _, dir := range dirs {
			t.Run(family+"/"+filepath.Base(dir), func(t *testing.T) {
				f, err := golden.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				m := open(t, program, *f.LoadRequest(""))
				defer m.Close()
				goldentest.Run(t, f, golden.Language(m))
			})
		}
	}
}

func TestConformance(t *testing.T) {
	program := testenv.Program(t, testenv.Torch(t), script)
	for _, folder := range []string{"opt/testdata/golden-pre-norm", "t5/testdata/golden-flan", "llama/testdata/golden-llama-3"} {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			checkpoint := filepath.Join(testenv.Root(), "adapters", folder, "checkpoint")
			adaptertest.TestLanguage(t, func() adapters.LanguageModel {
				return open(t, program, adapters.LoadRequest{Checkpoint: checkpoint})
			}, adaptertest.Options{})
		})
	}
}

// An author can read the example quickly.
func TestTheExampleIsShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(), script))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines >= 60 {
		t.Errorf("%s has %d lines that are not blank, want fewer than 60", script, lines)
	}
}
