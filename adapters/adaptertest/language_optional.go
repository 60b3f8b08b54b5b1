package adaptertest

import (
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// The cases of the optional capabilities of a language model: scores, token embeddings, token counts.

func (l *languageCases) testScore(t T) {
	scorer, ok := adapters.AsScorer(l.m)
	if !ok {
		t.Fatalf("the spec names the capability, the model lacks its methods")
	}
	req := l.request()
	ask := &adapters.ScoreRequest{Prompts: req.Prompts}
	var want []float32
	for _, e := range req.Examples {
		ask.Examples = append(ask.Examples, adapters.Example{Segments: e.Segments})
		ask.Candidates = append(ask.Candidates, l.o.Texts[:2])
		for _, target := range l.o.Texts[:2] {
			one := &adapters.LossRequest{Prompts: req.Prompts, Examples: []adapters.Example{{Segments: e.Segments, Target: target}}}
			want = append(want, -l.loss(t, one).Loss[0])
		}
	}
	got, err := scorer.Score(t.Context(), ask)
	if err != nil {
		t.Fatalf("score: %v", err)
	}
	if err := got.Check(ask); err != nil {
		t.Fatalf("score: %v", err)
	}
	wantClose(t, "scores against −loss", values(t, "scores", got.Scores), want, l.o.Tolerance)
	uneven := *ask
	uneven.Candidates = append([][]string{l.o.Texts[:1]}, ask.Candidates[1:]...)
	_, err = scorer.Score(t.Context(), &uneven)
	wantKind(t, "score, lists of candidates of two lengths", err, adapters.Invalid)
}

func (l *languageCases) testEmbedTokens(t T) {
	embedder, ok := adapters.AsTokenEmbedder(l.m)
	if !ok {
		t.Fatalf("the spec names the capability, the model lacks its methods")
	}
	for _, req := range []*adapters.EmbedTokensRequest{{}, {Texts: l.o.Texts}, {Texts: []string{"", l.o.Texts[0]}}, {Texts: []string{""}}} {
		resp, err := embedder.EmbedTokens(t.Context(), req)
		if err != nil {
			t.Fatalf("embed tokens: %v", err)
		}
		if err := resp.Check(l.spec, req); err != nil {
			t.Fatalf("embed tokens: %v", err)
		}
		values(t, "embeddings", resp.Embeddings)
		var rows int32
		for _, n := range resp.Counts {
			rows += n
		}
		if len(req.Texts) > 0 && int(rows) != len(resp.Surfaces) {
			t.Errorf("counts %v for %d rows", resp.Counts, len(resp.Surfaces))
		}
		if len(req.Texts) == 0 && (len(resp.Surfaces) == 0 || len(resp.Surfaces) > l.spec.Vocabulary) {
			t.Errorf("the vocabulary has %d rows, the spec says %d", len(resp.Surfaces), l.spec.Vocabulary)
		}
		l.sameCounts(t, req.Texts, resp.Counts)
	}
}

// sameCounts compares with the counts of CountTokens, if the model has it.
func (l *languageCases) sameCounts(t T, texts []string, embedded []int32) {
	t.Helper()
	counter, ok := adapters.AsTokenCounter(l.m)
	if !ok || len(texts) == 0 {
		return
	}
	counts, err := counter.CountTokens(t.Context(), texts)
	if err != nil || !slices.Equal(counts, embedded) {
		t.Errorf("texts have %v embedded tokens and count %v (error %v)", embedded, counts, err)
	}
}

func (l *languageCases) testCountTokens(t T) {
	counter, ok := adapters.AsTokenCounter(l.m)
	if !ok {
		t.Fatalf("the spec names the capability, the model lacks its methods")
	}
	counts, err := counter.CountTokens(t.Context(), []string{"", l.o.Texts[0], l.o.Texts[0] + l.o.Texts[1]})
	if err != nil {
		t.Fatalf("count tokens: %v", err)
	}
	if len(counts) != 3 || counts[0] != 0 || counts[1] < 1 || counts[2] <= counts[1] {
		t.Errorf("counts of nothing, a text and a longer one are %v", counts)
	}
	if none, err := counter.CountTokens(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("counts of no texts are %v, error %v", none, err)
	}
}
