package weights

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func writeBridge(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	one := adapters.FromFloat32([]float32{1}, 1)
	err := Write(filepath.Join(dir, weightsFile), map[string]*adapters.Tensor{
		"vision_model.a": one, "vision_model.vision_model.b": one, "query_tokens": one,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

const wholeBridge = `{"model_type": "blip-2", "vision_config": {"model_type": "blip_2_vision_model", "x": 3}, "text_config": {"model_type": "opt"}}`

func TestOpenPart(t *testing.T) {
	f, err := OpenPart(writeBridge(t, wholeBridge), adapters.KindVision)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var c struct{ X int }
	if err := f.DecodeConfig(&c); err != nil || c.X != 3 || f.ModelType() != "blip_2_vision_model" {
		t.Errorf("config %+v of model type %q, error %v", c, f.ModelType(), err)
	}
	var bad struct{ X string }
	if err := f.DecodeConfig(&bad); err == nil || !strings.Contains(err.Error(), "config.json: vision_config.x is 3, want text") {
		t.Errorf("a value with the wrong type: %v", err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"a", "vision_model.b"}) {
		t.Errorf("tensors %q", got)
	}
}

func TestOpenConfigNeedsNoWeights(t *testing.T) {
	dir := writeBridge(t, wholeBridge)
	if err := os.Remove(filepath.Join(dir, weightsFile)); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[adapters.ModelKind]string{adapters.KindVision: "blip_2_vision_model", adapters.KindLanguage: "opt"} {
		f, err := OpenConfig(dir, kind)
		if err != nil || f.ModelType() != want || len(f.Names()) != 0 {
			t.Errorf("%s: %v, want model type %s and no tensors", kind, err, want)
		}
	}
	if _, err := OpenConfig(t.TempDir(), adapters.KindVision); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("empty folder: %v", err)
	}
}

func TestOpenPartKeepsASingleModel(t *testing.T) {
	f, err := OpenPart(writeBridge(t, `{"model_type": "clip", "vision_config": {}}`), adapters.KindVision)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.ModelType() != "clip" || len(f.Names()) != 3 {
		t.Errorf("model type %q, tensors %q", f.ModelType(), f.Names())
	}
}

func TestOpenPartNamesMissingWeights(t *testing.T) {
	want := "no weight is named language_model."
	if _, err := OpenPart(writeBridge(t, wholeBridge), adapters.KindLanguage); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// transformers omits the values of its default configurations.
func TestOpenPartUsesTransformersDefaults(t *testing.T) {
	for _, config := range []string{`{"model_type": "blip-2"}`, `{"model_type": "blip-2", "vision_config": null}`, `{"model_type": "blip-2", "vision_config": {"x": 3}}`} {
		f, err := OpenPart(writeBridge(t, config), adapters.KindVision)
		if err != nil {
			t.Fatal(err)
		}
		if f.ModelType() != TypeBLIP2Vision {
			t.Errorf("%s: model type %q", config, f.ModelType())
		}
		f.Close()
	}
}
