package workspace

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/tensortest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/internal/weights"
)

func TestOnlyModel(t *testing.T) {
	reg, err := New(Options{}).Registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		modelType string
		width     int
		want      string
	}{
		{"opt", 2560, "opt-2.7b"}, {"opt", 4096, "opt-6.7b"}, {"t5", 2048, "flant5-xl"}, {"t5", 4096, "flant5-xxl"},
		{weights.TypeBLIP2Vision, 1408, "eva-vit-g"}, {weights.TypeBLIP2Vision, 1024, ""}, {"llama", 4096, ""}, {"", 4096, ""},
	} {
		if got := onlyModel(reg, c.modelType, c.width); got != c.want {
			t.Errorf("%s of width %d: %q, want %q", c.modelType, c.width, got, c.want)
		}
	}
}

// The conversion of a file depends on what the registry says about its models, beside the file
// and the options.
func TestConvertedFilesFollowTheManifests(t *testing.T) {
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	file := filepath.Join(t.TempDir(), "blip2.pth")
	if err := os.WriteFile(file, []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	dirOf := func(o LAVISOptions) string {
		t.Helper()
		reg, err := New(Options{}).Registry()
		if err != nil {
			t.Fatal(err)
		}
		dir, older, err := o.cacheDir(reg, file)
		if err != nil || slices.Contains(older, dir) {
			t.Fatalf("%s, %s, %v", dir, older, err)
		}
		return dir
	}
	named, inferred := LAVISOptions{Encoder: "eva-vit-g", LLM: "opt-2.7b"}, LAVISOptions{LLM: "opt-2.7b"}
	before, guess := dirOf(named), dirOf(inferred)
	if dirOf(named) != before || before == guess || dirOf(LAVISOptions{Encoder: "eva-vit-g", LLM: "opt-6.7b"}) == before {
		t.Error("the folder does not follow the options")
	}
	const text = "id = %q\nkind = \"language-model\"\nfamily = \"opt\"\nrepository = \"a/b\"\nwidth = 2560\n" +
		"architecture = \"decoder-only\"\ndtype = \"float32\"\nprompts = {caption = \"this is\"}\n"
	models := filepath.Join(os.Getenv("BRIDGE_CONFIG"), "models.d")
	if err := os.Mkdir(models, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id                  string
		namedTo, inferredTo bool
	}{{"another-opt", false, true}, {"opt-2.7b", true, true}} {
		if err := os.WriteFile(filepath.Join(models, c.id+".toml"), fmt.Appendf(nil, text, c.id), 0o644); err != nil {
			t.Fatal(err)
		}
		if a, b := dirOf(named), dirOf(inferred); (a != before) != c.namedTo || (b != guess) != c.inferredTo {
			t.Errorf("with a manifest of %s: another folder of named models %v, of inferred ones %v", c.id, a != before, b != guess)
		}
	}
}

// The frozen weights in a file must be those of the folders that are used instead. What was
// compared is recorded, so that later changes of the folder are noticed.
func TestFrozenWeightsOfAFileAreCompared(t *testing.T) {
	testenv.Cache(t)
	file := filepath.Join("..", "convert", "testdata", "frozen.pth")
	golden := filepath.Join("..", "bridge", "testdata", "golden-opt", "checkpoint")
	w := New(Options{})
	convert := func(to string, o LAVISOptions) error {
		o.Heads, o.EncoderHeads = 2, 2
		_, err := w.Convert(t.Context(), file, to, ConvertOptions{Form: FormBridge, LAVIS: o})
		return err
	}
	out := t.TempDir()
	if err := convert(filepath.Join(out, "same"), LAVISOptions{Encoder: golden, LLM: golden}); err != nil {
		t.Fatal(err)
	}
	info, err := w.readInfo(filepath.Join(out, "same"))
	if err != nil || !strings.HasPrefix(info.Vision.Digest, "sha256:") || info.Language.Digest != info.Vision.Digest {
		t.Errorf("%+v, %v: want the digests of the folders", info, err)
	}
	for _, name := range []string{"vision_model.encoder.layers.1.mlp.fc1.weight", "language_model.model.decoder.embed_positions.weight"} {
		other := tensortest.Copy(t, golden)
		tensortest.Change(t, other, name)
		err := convert(filepath.Join(out, "other"), LAVISOptions{Encoder: other, LLM: other})
		if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "differs from "+name[strings.Index(name, ".")+1:]+" ") {
			t.Errorf("%s is changed: %v", name, err)
		}
	}
}
