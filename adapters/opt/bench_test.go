package opt

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
)

// BenchmarkTiny runs a model of the size of the kit's tiny-opt.
func BenchmarkTiny(bench *testing.B) {
	c := config{VocabSize: 608, HiddenSize: 128, WordEmbedProjDim: 128, FFNDim: 512, NumHiddenLayers: 4,
		NumAttentionHeads: 4, MaxPositionEmbeddings: 128}
	b := body{c, decoder.Weights{Prefix: prefix, Embedding: embedTokens}}
	dir := lmtest.RandomCheckpoint(bench, map[string]any{
		"model_type": "opt", "vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "ffn_dim": c.FFNDim,
		"num_hidden_layers": c.NumHiddenLayers, "num_attention_heads": c.NumAttentionHeads,
		"max_position_embeddings": c.MaxPositionEmbeddings,
	}, b.tensorSpecs(), "testdata/golden-pre-norm/checkpoint")
	lmtest.Benchmark(bench, lmtest.Open(bench, Open, dir))
}
