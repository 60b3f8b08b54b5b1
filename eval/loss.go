package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// Grounding is the mean loss per target token, in nats, of captions when the language
// model sees the right picture, another one, and none. The three are equal as long as the
// bridge tells the model nothing about the picture.
type Grounding struct {
	Right float64 `json:"right"`
	Other float64 `json:"other"`
	None  float64 `json:"none"`
}

// Loss is the summed loss of an example's target.
type Loss struct {
	Nats   float64
	Tokens int // of the target, the end token included
}

// batch is the number of examples in one request.
const batch = 64

// MeasureGrounding measures the loss of examples. Example i is about soft prompt i, which
// the bridge computes from row i of features [B, N, Denc]. "Another picture" is the one
// half a data set away. Without a picture, a target that nothing precedes follows the bos
// or, if the tokenizer adds none, a newline. The losses are those of the examples about the
// right picture.
func MeasureGrounding(ctx context.Context, m *bridge.Model, features *adapters.Tensor, examples []adapters.Example) (Grounding, []Loss, error) {
	prompts, err := m.SoftPrompts(ctx, features)
	if err != nil {
		return Grounding{}, nil, err
	}
	n := len(examples)
	if n < 2 || features.Shape[0] != n {
		return Grounding{}, nil, fmt.Errorf("grounding: %d examples about %d pictures, want equal numbers and at least 2", n, features.Shape[0])
	}
	right := func(i int) adapters.Example { return examples[i] }
	measure := func(example func(i int) adapters.Example) ([]Loss, error) {
		return losses(ctx, m.Language, prompts, n, example)
	}
	all, err := measure(right)
	if err != nil {
		return Grounding{}, nil, err
	}
	other, err := measure(func(i int) adapters.Example { return about(examples[i], (i+n/2)%n) })
	if err != nil {
		return Grounding{}, nil, err
	}
	none, err := measure(func(i int) adapters.Example { return bridge.WithoutPicture(right(i)) })
	if adapters.KindOf(err) == adapters.Invalid {
		none, err = measure(func(i int) adapters.Example { return afterNewline(examples[i]) })
	}
	if err != nil {
		return Grounding{}, nil, err
	}
	return Grounding{Right: meanPerToken(all), Other: meanPerToken(other), None: meanPerToken(none)}, all, nil
}

// meanPerToken returns the mean loss over the target tokens of all examples.
func meanPerToken(all []Loss) float64 {
	var nats, tokens float64
	for _, l := range all {
		nats += l.Nats
		tokens += float64(l.Tokens)
	}
	return nats / max(1, tokens)
}

// afterNewline returns e without its soft prompts and, if no text remains, with a newline
// before the target. A model whose tokenizer adds no bos cannot score a target that follows
// nothing.
func afterNewline(e adapters.Example) adapters.Example {
	e = bridge.WithoutPicture(e)
	if len(e.Segments) == 1 && e.Segments[0].Text == "" {
		e.Segments = []adapters.Segment{adapters.TextSegment("\n")}
	}
	return e
}

// about returns e with soft prompt i instead of its own.
func about(e adapters.Example, i int) adapters.Example {
	segments := slices.Clone(e.Segments)
	for j := range segments {
		if segments[j].IsPrompt {
			segments[j].Prompt = i
		}
	}
	return adapters.Example{Segments: segments, Target: e.Target}
}

// from returns an error about an example of a batch, as one about an example of all: the
// batch begins at example lo.
func from(lo int, err error) error {
	if blamed := (*bridge.TextError)(nil); errors.As(err, &blamed) {
		blamed.Example += lo
	}
	return err
}

// losses returns the losses of n examples. Examples refer to rows of prompts; each request
// carries only the rows that it needs.
func losses(ctx context.Context, lm adapters.LanguageModel, prompts *adapters.Tensor, n int, example func(i int) adapters.Example) ([]Loss, error) {
	all := make([]Loss, 0, n)
	for lo := 0; lo < n; lo += batch {
		req := &adapters.LossRequest{}
		rows := []int{}
		for i := lo; i < min(lo+batch, n); i++ {
			e := example(i)
			e.Segments = slices.Clone(e.Segments)
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
			return nil, from(lo, bridge.BlameText(ctx, lm, req, err))
		}
		for i := range resp.Loss {
			all = append(all, Loss{float64(resp.Loss[i]), int(resp.Tokens[i])})
		}
	}
	return all, nil
}
