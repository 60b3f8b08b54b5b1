package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/printable"
)

// loss is a sum over target tokens, in nats.
type loss struct{ nats, tokens float64 }

func (l *loss) add(o loss) { l.nats += o.nats; l.tokens += o.tokens }

func (l loss) perToken() float64 { return l.nats / max(1, l.tokens) }

// microBatch is a part of a step's batch.
type microBatch struct {
	rows      []int // of the examples, in the training set
	examples  []adapters.Example
	in, rng   *tensors.Tensor  // input of the bridge's graphs
	prompts   *adapters.Tensor // soft prompts
	cotangent *adapters.Tensor // gradient of the summed loss by the soft prompts
	err       error
}

// free releases the tensors on the device.
func (m *microBatch) free() {
	for _, t := range []*tensors.Tensor{m.in, m.rng} {
		if t != nil {
			t.FinalizeAll()
		}
	}
}

// startForward runs the forward pass of micro-batch k of step n in the background.
func (g *generative) startForward(ctx context.Context, n, k int, batch []data.Sample) <-chan *microBatch {
	done := make(chan *microBatch, 1)
	go func() {
		m := &microBatch{}
		m.err = g.runForward(ctx, m, n, k, batch)
		done <- m
	}()
	return done
}

func (g *generative) runForward(ctx context.Context, m *microBatch, n, k int, batch []data.Sample) (err error) {
	if batch, err = g.session.texts.samples(ctx, batch); err != nil {
		return err
	}
	rows := make([]int, len(batch))
	for i, sample := range batch {
		rows[i] = sample.Index
		m.examples = append(m.examples, g.phase.Objective.Example(g.session.Plan.Templates, i, sample))
	}
	m.rows = rows
	features, err := g.source.Features(ctx, rows)
	if err != nil {
		return err
	}
	if m.in, err = hosttensor.ToDevice(g.session.Bridge.Backend(), features); err != nil {
		return err
	}
	if m.rng, err = rngState(g.session.Plan.Seed, g.phase.Name, n, k); err != nil {
		return err
	}
	prompts, err := g.forward.Call1(m.in, m.rng)
	if err != nil {
		return fmt.Errorf("forward pass of the bridge: %w", err)
	}
	m.prompts, err = hosttensor.FromDevice(prompts)
	return err
}

// namePicture adds the picture to an error about the text of an example. rows are the
// examples' records.
func namePicture(d data.Dataset, rows []int, err error) error {
	blamed := (*bridge.TextError)(nil)
	if !errors.As(err, &blamed) || blamed.Example >= len(rows) {
		return err
	}
	return fmt.Errorf("picture %s: %w", printable.Text(d.Record(rows[blamed.Example]).ID), err)
}

// scoreMicroBatch runs the language model and keeps the gradient of its loss.
func (g *generative) scoreMicroBatch(ctx context.Context, m *microBatch) (loss, error) {
	req := &adapters.LossRequest{Prompts: m.prompts, Examples: m.examples, Gradient: true}
	resp, err := g.session.language.Loss(ctx, req)
	if err != nil {
		return loss{}, namePicture(g.session.Train.Data, m.rows, bridge.BlameText(ctx, g.session.language, req, err))
	}
	var sum loss
	for i, nats := range resp.Loss {
		if math.IsNaN(float64(nats)) || math.IsInf(float64(nats), 0) {
			return loss{}, adapters.Errorf(adapters.Corrupt, "the frozen language model %s gives a loss of %v for %q",
				g.session.Language.Spec().ID, nats, m.examples[i].Target).
				WithRemedy("its weights may be damaged, or its dtype too narrow: check it with `bridge caption`, or set language.dtype = \"float32\"")
		}
		sum.add(loss{float64(nats), float64(resp.Tokens[i])})
	}
	m.cotangent = resp.Gradient
	return sum, nil
}
