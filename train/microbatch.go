package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/train/objective"
)

// loss is a sum over target tokens, in nats.
type loss struct{ nats, tokens float64 }

func (l *loss) add(o loss) { l.nats += o.nats; l.tokens += o.tokens }

func (l loss) perToken() float64 { return l.nats / max(1, l.tokens) }

// prompts say which soft prompts each micro-batch of a step has.
type prompts struct{ count, spare int }

// microBatch is a part of a step's batch.
type microBatch struct {
	rows      []int // of the examples, in the training set
	examples  []adapters.Example
	pictures  []int             // of the soft prompts: indices for [data.Dataset.Image]
	in, rng   *tensors.Tensor   // input of the bridge's graphs
	residuals []*tensors.Tensor // of the forward pass; see keeps
	prompts   *adapters.Tensor  // soft prompts
	cotangent *adapters.Tensor  // gradient of the summed loss by the soft prompts
	waited    waiting           // for the features of the pictures
	err       error
}

// waiting is a time in which a micro-batch waited for data.
type waiting struct{ from, to time.Time }

// since returns the part of the time after a moment. A step waits only while it can do nothing else:
// one micro-batch waits in the background while the language model works on another.
func (w waiting) since(stopped time.Time) time.Duration {
	from := w.from
	if stopped.After(from) {
		from = stopped
	}
	return max(0, w.to.Sub(from))
}

// free releases the tensors on the device, once.
func (m *microBatch) free() {
	for _, t := range slices.Concat(m.residuals, []*tensors.Tensor{m.in, m.rng}) {
		if t != nil {
			t.FinalizeAll()
		}
	}
	m.in, m.rng, m.residuals = nil, nil, nil
}

// addExamples adds the examples of samples, whose texts are cut, to the micro-batch.
func (g *generative) addExamples(ctx context.Context, m *microBatch, batch []data.Sample) error {
	set, templates := g.session.Train, g.session.Plan.Templates
	for _, sample := range batch {
		first := len(m.pictures)
		examples := []adapters.Example{}
		if sample.Turns == nil {
			m.pictures = append(m.pictures, pictureIndices(set.Data, sample)...)
			examples = append(examples, g.phase.Objective.Example(templates, first, sample))
		} else {
			m.pictures = append(m.pictures, pictureIndices(set.Data, sample)...)
			var err error
			if examples, err = g.session.texts.fitting(ctx, objective.Sequence(templates, first, sample.Turns)); err != nil {
				return err
			}
		}
		for range examples {
			m.rows = append(m.rows, sample.Index)
		}
		m.examples = append(m.examples, examples...)
	}
	return nil
}

// pictureIndices returns the indices of a sample's pictures for [data.Dataset.Image].
func pictureIndices(d data.Dataset, sample data.Sample) []int {
	all := make([]int, picturesOf(sample))
	for k := range all {
		all[k] = data.PictureAt(d, sample.Index, k)
	}
	return all
}

// picturesOf returns the number of a sample's pictures.
func picturesOf(sample data.Sample) int {
	if sample.Turns == nil {
		return 1
	}
	n := 0
	for _, t := range sample.Turns {
		if t.Picture >= 0 {
			n++
		}
	}
	return n
}

// promptCount returns how many soft prompts each micro-batch of a batch has: the number of its
// samples, or the smallest multiple of it that is enough for the pictures of each micro-batch.
// So few shapes occur, for which graphs are compiled.
func promptCount(batch []data.Sample, size int) int {
	most := 0
	for part := range slices.Chunk(batch, size) {
		n := 0
		for _, sample := range part {
			n += picturesOf(sample)
		}
		most = max(most, n)
	}
	return max(size, (most+size-1)/size*size)
}

// withSpare returns the pictures of a micro-batch, or the spare one if it has none.
func withSpare(pictures []int, spare int) []int {
	if len(pictures) == 0 {
		return []int{spare}
	}
	return pictures
}

// features returns the features of a micro-batch's pictures, repeated up to count rows.
func (g *generative) features(ctx context.Context, m *microBatch, n, k, count, spare int) (*adapters.Tensor, error) {
	pictures := withSpare(m.pictures, spare)
	features, err := g.ahead.features(ctx, place{n, k}, pictures)
	if err != nil || len(pictures) == count {
		return features, err
	}
	rows := make([]int, count)
	for i := range rows {
		rows[i] = i % len(pictures)
	}
	return features.Gather(rows), nil
}

// sparePicture returns a picture of the batch. Its soft prompts take the places that a
// micro-batch without pictures leaves empty.
func sparePicture(d data.Dataset, batch []data.Sample) (int, error) {
	for _, sample := range batch {
		if picturesOf(sample) > 0 {
			return sample.Index, nil
		}
	}
	return 0, adapters.Errorf(adapters.Unsupported, "%s: no record of a batch has a picture, so the batch trains nothing", d.Name()).
		WithRemedy("mix texts with records that have pictures, or set data.text_only = \"refuse\"")
}

// startForward runs the forward pass of micro-batch k of step n in the background.
func (g *generative) startForward(ctx context.Context, n, k int, batch []data.Sample, prompts prompts) <-chan *microBatch {
	done := make(chan *microBatch, 1)
	go func() {
		m := &microBatch{}
		m.err = g.runForward(ctx, m, n, k, batch, prompts)
		done <- m
	}()
	return done
}

func (g *generative) runForward(ctx context.Context, m *microBatch, n, k int, batch []data.Sample, p prompts) (err error) {
	if batch, err = g.session.texts.samples(ctx, batch); err != nil {
		return err
	}
	if err := g.addExamples(ctx, m, batch); err != nil {
		return err
	}
	m.waited.from = time.Now()
	features, err := g.features(ctx, m, n, k, p.count, p.spare)
	m.waited.to = time.Now()
	if err != nil {
		return err
	}
	if m.in, err = hosttensor.ToDevice(g.session.Bridge.Backend(), features); err != nil {
		return err
	}
	if m.rng, err = rngState(g.session.Plan.Seed, g.phase.Name, n, k); err != nil {
		return err
	}
	out, err := g.forward.Call(m.in, m.rng)
	if err != nil {
		return fmt.Errorf("forward pass of the bridge: %w", err)
	}
	m.residuals = out[1:]
	m.prompts, err = hosttensor.FromDevice(out[0])
	return err
}

// namePicture adds the picture to an error about the text of an example. rows are the
// examples' records.
func namePicture(d data.Dataset, rows []int, err error) error {
	blamed := (*bridge.TextError)(nil)
	if !errors.As(err, &blamed) || blamed.Example >= len(rows) {
		return err
	}
	return fmt.Errorf("picture %s: %w", printable.Text(idOf(d, rows[blamed.Example])), err)
}

// scoreMicroBatch runs the language model and keeps the gradient of its loss.
func (g *generative) scoreMicroBatch(ctx context.Context, m *microBatch) (loss, error) {
	if len(m.examples) == 0 { // every record is longer than the language model reads
		m.cotangent = adapters.NewTensor(adapters.Float32, m.prompts.Shape...)
		return loss{}, nil
	}
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
