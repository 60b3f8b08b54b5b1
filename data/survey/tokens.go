package survey

import (
	"context"
	"errors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
)

// Tokens describes the lengths of targets in a language model's tokens.
type Tokens struct {
	LLM string `json:"llm"`
	Spread
	Limit int     `json:"limit"` // the most tokens of a target, its end counted; 0 is none
	Cut   int     `json:"cut"`   // targets that are longer
	Share float64 `json:"cut_share"`
}

// CountTokens counts the tokens of all targets of a source. limit is as in [Tokens].
func CountTokens(ctx context.Context, r record.Reader, counter adapters.TokenCounter, limit int) (*Tokens, error) {
	out := &Tokens{Limit: limit}
	lengths := histogram{}
	var batch []string
	total := 0
	count := func() error {
		if len(batch) == 0 {
			return nil
		}
		counts, err := counter.CountTokens(ctx, batch)
		for _, n := range counts {
			lengths[int(n)]++
			total++
			if limit > 0 && int(n)+1 > limit { // the end is a token
				out.Cut++
			}
		}
		batch = batch[:0]
		return err
	}
	for i := range r.Len() {
		rec, err := r.Record(i)
		if bad := (*record.BadRecord)(nil); errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, p := range rec.Parts {
			for _, t := range p.Texts {
				if p.Target {
					batch = append(batch, t.Text)
				}
			}
		}
		if len(batch) >= 1024 {
			if err := count(); err != nil {
				return nil, err
			}
		}
	}
	if err := count(); err != nil {
		return nil, err
	}
	out.Spread = lengths.spread()
	out.Share = float64(out.Cut) / float64(max(1, total))
	return out, nil
}
