package main

import (
	"io"
	"log/slog"
	"strings"
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

// The flags of generation reach the language model, and do what they say.
func TestGenerationFlags(t *testing.T) {
	t.Setenv("BRIDGE_CACHE", t.TempDir())
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	caption := func(flags ...string) (stdout, stderr string) {
		args := []string{"caption", "kit:stage2", "kit:held-out/17", "--isolation", "none", "--backend", "go"}
		return want(t, exitDone, append(args, flags...)...)
	}
	greedy, _ := caption()
	short, _ := caption("--max-new-tokens", "2")
	beams, _ := caption("--num-beams", "3", "--max-new-tokens", "2", "--length-penalty", "-1", "--early-stopping", "never")
	if len(short) >= len(greedy) || len(beams) >= len(greedy) {
		t.Errorf("captions %q, of two tokens %q, with beams %q", greedy, short, beams)
	}
	if long, _ := caption("--num-beams", "2", "--min-new-tokens", "20", "--repetition-penalty", "1.5"); len(long) <= len(greedy) {
		t.Errorf("captions %q, of 20 tokens without repetition %q", greedy, long)
	}
	first, _ := caption("--sample", "--temperature", "4", "--seed", "3")
	again, _ := caption("--sample", "--temperature", "4", "--seed", "3")
	other, _ := caption("--sample", "--temperature", "4", "--seed", "4")
	if first != again || first == other {
		t.Errorf("seed 3 gives %q, then %q, seed 4 %q", first, again, other)
	}
	if one, _ := caption("--sample", "--temperature", "4", "--top-k", "1"); one != greedy {
		t.Errorf("of the likeliest token %q, greedily %q", one, greedy)
	}
	if _, stderr := caption("--top-p", "0.5", "--early-stopping", "true"); !strings.Contains(stderr, "--top-p has no effect without --sample") ||
		!strings.Contains(stderr, "--early-stopping has no effect without --num-beams") {
		t.Errorf("what has no effect is not told: %s", stderr)
	}
}
