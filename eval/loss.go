package eval

import (
	"context"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// Grounding is the mean loss per target token, in nats, of held-out captions
// when the language model sees the right picture, another one, and none. As long
// as captions ignore the picture the three are equal.
type Grounding struct {
	Right float64 `json:"right"`
	Other float64 `json:"other"`
	None  float64 `json:"none"`
}

// batch is the number of examples of one request.
const batch = 64

// MeasureGrounding scores captions given features [B, N, Denc], row by row.
// "Another picture" is the one half a data set away.
func MeasureGrounding(ctx context.Context, m *bridge.Model, features *adapters.Tensor, captions []string) (Grounding, error) {
	prompts, err := m.SoftPrompts(ctx, features)
	if err != nil {
		return Grounding{}, err
	}
	n := len(captions)
	if n < 2 || features.Shape[0] != n {
		return Grounding{}, fmt.Errorf("grounding: %d captions for %d pictures, want equal numbers and at least 2", n, features.Shape[0])
	}
	right := func(i int) adapters.Example { return m.Info.Prompts.CaptionExample(i, captions[i]) }
	var g Grounding
	for _, part := range []struct {
		mean    *float64
		example func(i int) adapters.Example
	}{
		{&g.Right, right},
		{&g.Other, func(i int) adapters.Example {
			return m.Info.Prompts.CaptionExample((i+n/2)%n, captions[i])
		}},
		{&g.None, func(i int) adapters.Example { return bridge.WithoutPicture(right(i)) }},
	} {
		if *part.mean, err = meanLoss(ctx, m.Language, prompts, n, part.example); err != nil {
			return Grounding{}, err
		}
	}
	return g, nil
}

// meanLoss averages over the target tokens of n examples. An example names a
// row of prompts; each request carries only the rows that it needs.
func meanLoss(ctx context.Context, lm adapters.LanguageModel, prompts *adapters.Tensor, n int, example func(i int) adapters.Example) (float64, error) {
	var nats, tokens float64
	for lo := 0; lo < n; lo += batch {
		req := &adapters.LossRequest{}
		rows := []int{}
		for i := lo; i < min(lo+batch, n); i++ {
			e := example(i)
			for j, s := range e.Segments {
				if s.IsPrompt {
					rows = append(rows, s.Prompt)
					e.Segments[j].Prompt = len(rows) - 1
				}
			}
			req.Examples = append(req.Examples, e)
		}
		if len(rows) > 0 {
			req.Prompts = prompts.Gather(rows)
		}
		resp, err := lm.Loss(ctx, req)
		if err != nil {
			return 0, err
		}
		for i := range resp.Loss {
			nats += float64(resp.Loss[i])
			tokens += float64(resp.Tokens[i])
		}
	}
	return nats / max(1, tokens), nil
}
