package hfvisionadapter

import (
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/golden/goldentest"
	"github.com/modular-bridging/bridge/internal/preprocess"
	"github.com/modular-bridging/bridge/internal/pythontest"
	"github.com/modular-bridging/bridge/plugins"
)

const script = "examples/adapter-python-hf-vision/adapter.py"

// open starts the plugin on a checkpoint folder, with one thread.
func open(t *testing.T, program string, load adapters.LoadRequest) adapters.VisionEncoder {
	t.Helper()
	m, err := plugins.OpenVision(t.Context(), plugins.Config{Path: program, Load: load, Env: []string{"OMP_NUM_THREADS=1"}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// testPart runs the cases of one size of pictures; class is the one of transformers'
// processor where the folder names none.
func testPart(t *testing.T, program, class string, f *golden.Folder) {
	t.Helper()
	m := open(t, program, *f.LoadRequest(""))
	defer m.Close()
	goldentest.Run(t, f, golden.Vision(m))
	// What the SDK reads of preprocessor_config.json is what bridge reads.
	want, err := preprocess.Read(f.Checkpoint(), class, m.Spec().Image)
	if want = preprocess.At(want, f.ImageSize()); err != nil || m.Spec().Image != want {
		t.Errorf("pictures are prepared as %+v, want %+v (%v)", m.Spec().Image, want, err)
	}
}

func TestGolden(t *testing.T) {
	program := pythontest.Program(t, pythontest.Torch(t), script)
	for family, class := range map[string]string{"vit": preprocess.CLIP, "siglip": preprocess.SigLIP, "dinov2": preprocess.BiT} {
		dirs, err := golden.Dirs(filepath.Join(pythontest.Root(), "adapters", family, "testdata"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("family %s has the golden folders %v, %v", family, dirs, err)
		}
		for _, dir := range dirs {
			t.Run(family+"/"+filepath.Base(dir), func(t *testing.T) {
				f, err := golden.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, part := range f.BySize() {
					testPart(t, program, class, part)
				}
			})
		}
	}
}

func TestConformance(t *testing.T) {
	program := pythontest.Program(t, pythontest.Torch(t), script)
	checkpoint := filepath.Join(pythontest.Root(), "adapters/vit/testdata/golden-quick-gelu/checkpoint")
	adaptertest.TestVision(t, func() adapters.VisionEncoder {
		return open(t, program, adapters.LoadRequest{Checkpoint: checkpoint})
	})
}
