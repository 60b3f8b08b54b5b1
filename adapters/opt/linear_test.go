package opt

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
)

// Weights that XLA's CPU backend holds transposed are those of linear maps alone.
func TestLinearWeights(t *testing.T) {
	for own, want := range map[bool]int{false: 2*6 + 2, true: 2*6 + 2 + 1} {
		b := body{config{VocabSize: 9, HiddenSize: 4, WordEmbedProjDim: 3, FFNDim: 5, NumHiddenLayers: 2, MaxPositionEmbeddings: 7},
			decoder.Weights{Prefix: prefix, Embedding: embedTokens, OwnHead: own}}
		got := 0
		for _, spec := range b.tensorSpecs() {
			if !spec.Linear {
				continue
			}
			got++
			if len(spec.Shape) != 2 || strings.Contains(spec.Name, "embed") || strings.Contains(spec.Name, "norm") {
				t.Errorf("%s %v is no linear map", spec.Name, spec.Shape)
			}
		}
		if got != want {
			t.Errorf("own head %v: %d linear maps, want %d", own, got, want)
		}
	}
}
