package t5

import (
	"strings"
	"testing"
)

// Weights that XLA's CPU backend holds transposed are those of linear maps alone.
func TestLinearWeights(t *testing.T) {
	c := config{VocabSize: 9, DModel: 4, DKV: 2, DFF: 5, NumHeads: 2, NumLayers: 2, NumDecoderLayers: 3, NumBuckets: 8, FeedForwardProj: "gated-gelu"}
	for name, tied := range map[string]bool{"own head": false, "tied head": true} {
		c.tables = tables{encoder: shared, decoder: shared, head: head}
		want := 2*(4+3) + 3*(8+3) + 1
		if tied {
			c.tables.head = shared
			want--
		}
		got := 0
		for _, spec := range c.tensorSpecs() {
			if !spec.Linear {
				continue
			}
			got++
			if len(spec.Shape) != 2 || strings.HasPrefix(spec.Name, shared) || strings.Contains(spec.Name, "bias") || strings.Contains(spec.Name, "norm") {
				t.Errorf("%s: %s %v is no linear map", name, spec.Name, spec.Shape)
			}
		}
		if got != want {
			t.Errorf("%s: %d linear maps, want %d", name, got, want)
		}
	}
}
