package recipes

import "testing"

func TestQFormerProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"shape beside from", "tiny-stage2-opt", []string{"qformer.layers=3"}, []string{"qformer.layers: is given, but the Q-Former has the shape"}},
		{"heads", "tiny-stage1", []string{"qformer.heads=3"}, []string{"qformer.heads: is 3, want a divisor of hidden_size, 128"}},
		{"preset", "tiny-stage1", []string{"qformer.preset=tinny"}, []string{`did you mean tiny?`}},
		{"short texts", "tiny-stage1", []string{"qformer.max_position_embeddings=16"}, []string{"qformer.max_position_embeddings: is 16, want at least 32"}},
		{"tokenizer of the kit", "tiny-stage1", []string{"qformer.tokenizer=kit:qformr"}, []string{`qformer.tokenizer: is "kit:qformr"`, "did you mean kit:qformer?"}},
		{"a BERT beside a bridge", "tiny-stage2-opt", []string{"qformer.init=bert-base-uncased"}, []string{"qformer.init: is given, but the Q-Former has the shape of the bridge"}},
	})
}

func TestDropoutOfAnOwnShape(t *testing.T) {
	for preset, want := range map[string]float64{"": 0.1, "base": 0.1, "tiny": 0} {
		r := load(t, "tiny-stage1", "qformer={preset='"+preset+"', hidden_size=64, layers=2, heads=2, intermediate_size=128, query_tokens=4, projection_dim=16, tokenizer='kit:qformer'}")
		if got := *r.QFormer.Dropout; got != want {
			t.Errorf("preset %q: dropout %v, want %v", preset, got, want)
		}
	}
}
