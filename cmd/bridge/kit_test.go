package main

import (
	"io"
	"log/slog"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/kit"
)

// What the registry says of the kit's models before they are opened is what
// they say of themselves.
func TestKitManifestsTellTheTruth(t *testing.T) {
	t.Setenv("BRIDGE_CACHE", t.TempDir())
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	p := &program{stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler)}
	reg, err := p.registry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range kit.Models() {
		m, err := reg.Lookup(id)
		if err != nil {
			t.Fatal(err)
		}
		o := opening{model: m, isolation: "none", backend: "go", layer: m.FeatureLayer}
		var spec adapters.Spec
		if m.Kind == adapters.KindVision {
			encoder, err := p.openVision(t.Context(), reg, o)
			if err != nil {
				t.Fatal(err)
			}
			s := encoder.Spec()
			if spec = s.Spec; s.Tokens != m.Tokens || s.Image.Width != m.ImageSize {
				t.Errorf("%s: %d tokens of pictures of %d pixels, the manifest says %d and %d", id, s.Tokens, s.Image.Width, m.Tokens, m.ImageSize)
			}
			defer encoder.Close()
		} else {
			model, err := p.openLanguage(t.Context(), reg, o)
			if err != nil {
				t.Fatal(err)
			}
			s := model.Spec()
			if spec = s.Spec; s.ContextTokens != m.Context || s.Architecture != m.Architecture || s.EndOfAnswer != m.EndOfAnswer {
				t.Errorf("%s: context %d, %s, end %q; the manifest says %d, %s, %q", id, s.ContextTokens, s.Architecture, s.EndOfAnswer, m.Context, m.Architecture, m.EndOfAnswer)
			}
			defer model.Close()
		}
		if spec.Parameters != m.Parameters || spec.Width != m.Width || spec.Family != m.Manifest.Family || spec.ID != id {
			t.Errorf("%s (%s): %d parameters, width %d; the manifest says %s, %d, %d", spec.ID, spec.Family, spec.Parameters, spec.Width, m.Manifest.Family, m.Parameters, m.Width)
		}
	}
}
