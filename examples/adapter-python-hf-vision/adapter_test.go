package hfvisionadapter

import (
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/adapters/dinov2"
	"github.com/modular-bridging/bridge/adapters/siglip"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/golden/goldentest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
)

const script = "examples/adapter-python-hf-vision/adapter.py"

// open starts the plugin on a checkpoint folder, with one thread.
func open(t *testing.T, program string, load adapters.LoadRequest) adapters.VisionEncoder {
	t.Helper()
	m, err := host.OpenVision(t.Context(), host.Config{Path: program, Load: load, Env: []string{"OMP_NUM_THREADS=1"}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// testPart runs the cases with one picture size.
func testPart(t *testing.T, program string, builtIn adapters.Family, f *golden.Folder) {
	t.Helper()
	m := open(t, program, *f.LoadRequest(""))
	defer m.Close()
	goldentest.Run(t, f, golden.Vision(m))
	// The SDK reads preprocessor_config.json in the same way as the built-in family.
	reference, err := builtIn.OpenVision(t.Context(), f.LoadRequest(""))
	if err != nil {
		t.Fatal(err)
	}
	defer reference.Close()
	if got, want := m.Spec().Image, reference.Spec().Image; got != want {
		t.Errorf("pictures are prepared as %+v, want %+v", got, want)
	}
}

func TestGolden(t *testing.T) {
	program := testenv.Program(t, testenv.Torch(t), script)
	for _, family := range []adapters.Family{vit.Family(), siglip.Family(), dinov2.Family()} {
		dirs, err := golden.Dirs(filepath.Join(testenv.Root(), "adapters", family.Name, "testdata"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("family %s has the golden folders %v, %v", family.Name, dirs, err)
		}
		for _, dir := range dirs {
			t.Run(family.Name+"/"+filepath.Base(dir), func(t *testing.T) {
				f, err := golden.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, part := range f.BySize() {
					testPart(t, program, family, part)
				}
			})
		}
	}
}

func TestConformance(t *testing.T) {
	program := testenv.Program(t, testenv.Torch(t), script)
	checkpoint := filepath.Join(testenv.Root(), "adapters/vit/testdata/golden-quick-gelu/checkpoint")
	adaptertest.TestVision(t, func() adapters.VisionEncoder {
		return open(t, program, adapters.LoadRequest{Checkpoint: checkpoint})
	})
}
