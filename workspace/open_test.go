package workspace

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
)

// The manifests of the kit's models match the specs of the open models.
func TestKitManifestsMatchModels(t *testing.T) {
	testenv.Cache(t)
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	w := New(Options{})
	reg, err := w.Registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range kit.Models() {
		m, err := reg.Lookup(id)
		if err != nil {
			t.Fatal(err)
		}
		s := OpenSpec{Model: m, Backend: "go", FeatureLayer: m.FeatureLayer}
		var spec adapters.Spec
		if m.Kind == adapters.KindVision {
			encoder, err := w.OpenVision(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			s := encoder.Spec()
			if spec = s.Spec; s.Tokens != m.Tokens || s.Image.Width != m.ImageSize {
				t.Errorf("%s: %d tokens for pictures of %d pixels, the manifest has %d and %d", id, s.Tokens, s.Image.Width,
					m.Tokens, m.ImageSize)
			}
			defer encoder.Close()
		} else {
			model, err := w.OpenLanguage(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			s := model.Spec()
			if spec = s.Spec; s.ContextTokens != m.Context || s.Architecture != m.Architecture || s.EndOfAnswer != m.EndOfAnswer {
				t.Errorf("%s: context %d, %s, end %q; the manifest has %d, %s, %q",
					id, s.ContextTokens, s.Architecture, s.EndOfAnswer, m.Context, m.Architecture, m.EndOfAnswer)
			}
			defer model.Close()
		}
		if spec.Parameters != m.Parameters || spec.Width != m.Width || spec.Family != m.Manifest.Family || spec.ID != id {
			t.Errorf("%s (%s): %d parameters, width %d; the manifest has %s, %d, %d",
				spec.ID, spec.Family, spec.Parameters, spec.Width, m.Manifest.Family, m.Parameters, m.Width)
		}
	}
}

// A recipe can set every transport, and the plugin's configuration has it.
func TestRecipesChooseTheTransport(t *testing.T) {
	w := New(Options{AdapterCommand: []string{"bridge", "adapter", "serve"}})
	for _, transport := range host.Transports() {
		r, err := recipes.Load("tiny-stage2-opt", "language.transport="+transport, "vision.transport="+transport)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []recipes.Backbone{r.Vision.Backbone, r.Language.Backbone} {
			cfg, err := w.pluginConfig(SpecForRecipe(registry.Backbone{}, b, ""), adapters.KindLanguage, "opt", adapters.LoadRequest{})
			if err != nil || string(cfg.Transport) != transport {
				t.Errorf("with transport %s the plugin gets %q, %v", transport, cfg.Transport, err)
			}
		}
	}
}

// A dtype that no frozen model computes in is refused. It does not fall back to the checkpoint's.
func TestAnUnknownDTypeIsRefused(t *testing.T) {
	testenv.Cache(t)
	_, err := New(Options{}).Measure(t.Context(), "tiny-vit", MeasureOptions{Backend: "go", DType: "float16", Batch: 1, Calls: 1})
	if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), `"float16", want float32 or bfloat16`) {
		t.Errorf("got %v, want an error of kind invalid with the types", err)
	}
}
