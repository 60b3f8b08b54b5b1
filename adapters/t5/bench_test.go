package t5

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
)

// BenchmarkTiny runs a model of the size of the kit's tiny-flan-t5.
func BenchmarkTiny(b *testing.B) {
	c := config{VocabSize: 512, DModel: 128, DKV: 32, DFF: 256, NumHeads: 4, NumLayers: 3, NumDecoderLayers: 3,
		NumBuckets: 32, FeedForwardProj: "gated-gelu", tables: tables{shared, shared, head, nil}}
	dir := lmtest.RandomCheckpoint(b, map[string]any{
		"model_type": "t5", "vocab_size": c.VocabSize, "d_model": c.DModel, "d_kv": c.DKV, "d_ff": c.DFF,
		"num_heads": c.NumHeads, "num_layers": c.NumLayers, "feed_forward_proj": c.FeedForwardProj,
	}, c.tensorSpecs(), "testdata/golden-flan/checkpoint")
	lmtest.Benchmark(b, lmtest.Open(b, Open, dir))
}
