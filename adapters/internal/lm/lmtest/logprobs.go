package lmtest

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// LogProbs compares the log-probabilities of generated tokens with transformers'
// (tools/reference/logprobs.py), which are in testdata/logprobs.json.
func LogProbs(t *testing.T, open OpenFunc, checkpoint string) {
	var cases []struct {
		Text    string
		Options struct {
			MaxNewTokens      int     `json:"max_new_tokens"`
			MinNewTokens      int     `json:"min_new_tokens"`
			RepetitionPenalty float64 `json:"repetition_penalty"`
		}
		Tokens []struct {
			LogProb float32 `json:"log_prob"`
			Top     []float32
		}
	}
	data, err := os.ReadFile("testdata/logprobs.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	req := &adapters.GenerateRequest{}
	for _, c := range cases {
		req.Examples = append(req.Examples, adapters.Example{Segments: []adapters.Segment{adapters.TextSegment(c.Text)}})
		req.Rows = append(req.Rows, adapters.GenerateOptions{
			MaxNewTokens: c.Options.MaxNewTokens, MinNewTokens: c.Options.MinNewTokens, RepetitionPenalty: c.Options.RepetitionPenalty,
			LogProbs: true, TopLogProbs: 3,
		})
	}
	got, err := Open(t, open, checkpoint).Generate(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		if len(got.LogProbs[i]) != len(c.Tokens) {
			t.Errorf("case %d: %d tokens, want %d", i, len(got.LogProbs[i]), len(c.Tokens))
			continue
		}
		for j, want := range c.Tokens {
			token := got.LogProbs[i][j]
			top := []float32{token.LogProb}
			for _, other := range token.Top {
				top = append(top, other.LogProb)
			}
			near(t, fmt.Sprintf("case %d, token %d", i, j), top, append([]float32{want.LogProb}, want.Top...))
		}
	}
}
