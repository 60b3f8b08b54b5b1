package builtin_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
)

// nearTie is the difference of two log-probabilities that rounding may turn round.
const nearTie = 1e-4

// An answer is the same alone and in any batch, whatever the options of the other rows are. An
// answer may differ only from a near-tie on: where its most probable tokens are as good as equal.
// The test counts them, and they are rare.
func TestAnswersAreTheSameInAnyBatch(t *testing.T) {
	for _, name := range []string{"tiny-opt", "tiny-flan-t5", "small-opt"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			family := "opt"
			if name == "tiny-flan-t5" {
				family = "t5"
			}
			model := openKit(t, family, name)
			rows, ties := 0, 0
			for seed := range uint64(2) {
				req := mixedRequest(model, seed)
				batch, err := model.Generate(t.Context(), req, nil)
				if err != nil {
					t.Fatal(err)
				}
				for i := range req.Examples {
					one := *req
					one.Examples, one.Rows = req.Examples[i:i+1], req.Rows[i:i+1]
					alone, err := model.Generate(t.Context(), &one, nil)
					if err != nil {
						t.Fatal(err)
					}
					rows++
					if alone.Texts[0] == batch.Texts[i] && alone.Tokens[0] == batch.Tokens[i] && alone.Finish[0] == batch.Finish[i] {
						continue
					}
					if req.Rows[i].LogProbs && tied(alone.LogProbs[0], batch.LogProbs[i]) {
						ties++
						continue
					}
					t.Errorf("with %+v the answer is %q alone, in the batch %q", req.Rows[i], alone.Texts[0], batch.Texts[i])
				}
			}
			t.Logf("%d of %d answers differ from a near-tie on", ties, rows)
			if ties > rows/20 {
				t.Errorf("%d of %d answers differ from a near-tie on, want few", ties, rows)
			}
		})
	}
}

func openKit(t *testing.T, family, name string) adapters.LanguageModel {
	t.Helper()
	for _, f := range builtin.Families() {
		if f.Name == family {
			m, err := f.OpenLanguage(t.Context(), &adapters.LoadRequest{Checkpoint: filepath.Join("..", "..", "kit", "models", name), Backend: "go"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Close() })
			return m
		}
	}
	t.Fatalf("there is no family %s", family)
	return nil
}

// mixedRequest has soft prompts, texts of different lengths, and the options of many clients.
func mixedRequest(model adapters.LanguageModel, seed uint64) *adapters.GenerateRequest {
	rng := rand.New(rand.NewPCG(seed, 9))
	width := model.Spec().Width
	req := &adapters.GenerateRequest{Prompts: adapters.NewTensor(adapters.Float32, 4, 4, width)}
	for i := range req.Prompts.Float32s() {
		req.Prompts.Float32s()[i] = float32(rng.NormFloat64() * float64(model.Spec().TokenNorm) / math.Sqrt(float64(width)))
	}
	logProbs := func(o adapters.GenerateOptions) adapters.GenerateOptions {
		o.LogProbs, o.TopLogProbs = true, 2
		return o
	}
	for _, o := range []adapters.GenerateOptions{
		logProbs(adapters.GenerateOptions{MaxNewTokens: 4}),
		logProbs(adapters.GenerateOptions{MaxNewTokens: 24, MinNewTokens: 24}),
		logProbs(adapters.GenerateOptions{Sample: true, Temperature: 0.7, Seed: seed, MaxNewTokens: 12}),
		logProbs(adapters.GenerateOptions{Sample: true, TopK: 50, TopP: 0.9, Seed: seed + 1, Copy: 2, MaxNewTokens: 16}),
		logProbs(adapters.GenerateOptions{RepetitionPenalty: 1.3, MaxNewTokens: 10}),
		logProbs(adapters.GenerateOptions{Stop: []string{"a", " red"}, MaxNewTokens: 20}),
		{NumBeams: 3, MaxNewTokens: 8},
		{NumBeams: 2, MaxNewTokens: 12, MinNewTokens: 6},
	} {
		for _, text := range []string{"", "Question: what is in the picture? Answer:"} {
			segments := []adapters.Segment{adapters.PromptSegment(rng.IntN(4))}
			if text != "" {
				segments = append(segments, adapters.TextSegment(fmt.Sprintf("%s %d", text, rng.IntN(9))))
			}
			req.Examples, req.Rows = append(req.Examples, adapters.Example{Segments: segments}), append(req.Rows, o)
		}
	}
	return req
}

// tied reports whether two answers part at a near-tie.
func tied(a, b []adapters.TokenLogProb) bool {
	for i := range min(len(a), len(b)) {
		if a[i].Text != b[i].Text {
			top := a[i].Top
			return len(top) == 2 && math.Abs(float64(top[0].LogProb-top[1].LogProb)) < nearTie
		}
	}
	return false
}
