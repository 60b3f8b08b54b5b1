package benchmark

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/eval/tasks"
)

// question is a sample that is to be asked.
type question struct {
	tasks.Sample
	index  int    // in the set
	place  int    // in the run's samples
	prompt string // as the language model reads it
	err    error  // of a sample that cannot be read
	// damaged says that the row of the sample cannot be read.
	damaged bool
}

// window is a window whose pictures are encoded.
type window struct {
	questions []question
	batches   [][]int // numbers of questions
	features  *features
	err       error
}

// ask asks the samples that are not answered yet, window by window. The next window is prepared while one
// is answered.
func (r *runner) ask(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := windows(r.samples, r.options.Batch)
	skip := len(r.lines.done) / (r.options.Batch * windowBatches)
	if len(r.lines.done) == len(r.samples) {
		skip = len(all)
	}
	r.options.Progress(len(r.lines.done), len(r.samples))
	prepared := make(chan window)
	go func() {
		defer close(prepared)
		for i := skip; i < len(all); i++ {
			w := r.prepare(ctx, all[i], i*r.options.Batch*windowBatches)
			select {
			case prepared <- w:
			case <-ctx.Done():
				return
			}
			if w.err != nil {
				return
			}
		}
	}()
	place := skip * r.options.Batch * windowBatches
	started := time.Now()
	for w := range prepared {
		if w.err != nil {
			return w.err
		}
		for _, batch := range w.batches {
			done := max(0, min(len(batch), len(r.lines.done)-place)) // lines of the batch that are there already
			if err := r.checkOrder(w, batch[:done], place); err != nil {
				return err
			}
			place += len(batch)
			if done == len(batch) {
				continue
			}
			if err := r.answer(ctx, w, batch, done, started); err != nil {
				return err
			}
			started = time.Now()
			r.options.Progress(len(r.lines.done), len(r.samples))
		}
	}
	return ctx.Err()
}

// checkOrder returns an error unless the lines from place on are those of a batch.
func (r *runner) checkOrder(w window, batch []int, place int) error {
	for i, n := range batch {
		if got, want := r.lines.done[place+i].Index, w.questions[n].index; got != want {
			return adapters.Errorf(adapters.Corrupt, "%s: line %d is sample %d, want %d", SamplesFile, place+i+1, got, want).
				WithRemedy("--fresh starts over; --out DIR keeps what is there")
		}
	}
	return nil
}

// prepare reads the samples of a window and encodes their pictures.
func (r *runner) prepare(ctx context.Context, numbers []int, place int) window {
	w := window{questions: make([]question, len(numbers))}
	lengths := make([]int, len(numbers))
	var pictures []*record.Picture
	for i, n := range numbers {
		q := question{index: n, place: place + i}
		if q.Sample, q.err = r.set.Sample(n); q.err == nil {
			q.prompt = r.task.Ask(q.Sample, r.kind)
			pictures = append(pictures, q.Picture)
		}
		q.damaged = q.err != nil
		w.questions[i], lengths[i] = q, length(q.prompt, q.Choices)
	}
	w.batches = batches(lengths, r.options.Batch)
	w.features, w.err = r.encode(ctx, pictures)
	return w
}

// answer asks a batch and appends its lines, except the first done ones, which are there already.
func (r *runner) answer(ctx context.Context, w window, batch []int, done int, started time.Time) error {
	asked := make([]question, len(batch))
	for i, n := range batch {
		asked[i] = w.questions[n]
		if q := &asked[i]; q.err == nil {
			q.err = w.features.errors[q.Picture.Name]
		}
	}
	answers, err := r.answers(ctx, w.features, asked)
	if err != nil {
		return err
	}
	samples := make([]Sample, len(asked))
	for i, q := range asked {
		samples[i] = r.line(q, answers[i])
	}
	seconds := time.Since(started).Seconds() / float64(len(samples)-done)
	for i := range samples {
		samples[i].Seconds, samples[i].TrainedOn = seconds, w.features.trained[samples[i].Picture]
	}
	if err := r.lines.append(samples[done:]); err != nil {
		return err
	}
	r.failed += len(failuresOf(samples[done:]))
	return r.checkFailures()
}

// answered is the answer to a question.
type answered struct {
	text   string
	best   int       // number of the best choice
	losses []float64 // of the choices
	err    error
}

// answers asks the questions that can be asked. If the model refuses the batch for a text in it, each is
// asked alone.
func (r *runner) answers(ctx context.Context, f *features, asked []question) ([]answered, error) {
	out := make([]answered, len(asked))
	var good []int
	for i, q := range asked {
		if out[i].err = q.err; q.err == nil {
			good = append(good, i)
		}
	}
	if len(good) == 0 {
		return out, nil
	}
	part := make([]question, len(good))
	for i, n := range good {
		part[i] = asked[n]
	}
	got, err := r.call(ctx, f, part)
	if refused(err) {
		got, err = make([]answered, len(part)), nil
		for i := range part {
			one, oneErr := r.call(ctx, f, part[i:i+1])
			switch {
			case oneErr == nil:
				got[i] = one[0]
			case refused(oneErr):
				got[i].err = oneErr
			default:
				return nil, oneErr
			}
		}
	}
	if err != nil {
		return nil, err
	}
	for i, n := range good {
		out[n] = got[i]
	}
	return out, nil
}

// refused reports whether a model refused a text.
func refused(err error) bool {
	var text *bridge.TextError
	return errors.As(err, &text)
}

// call asks the model some questions at once.
func (r *runner) call(ctx context.Context, f *features, asked []question) ([]answered, error) {
	names, prompts, choices := make([]string, len(asked)), make([]string, len(asked)), make([][]string, len(asked))
	for i, q := range asked {
		names[i], prompts[i], choices[i] = q.Picture.Name, q.prompt, q.Choices
	}
	out := make([]answered, len(asked))
	if r.task.How() == tasks.Ranks {
		ranked, err := r.model.RankFeatures(ctx, f.stack(names), prompts, choices, bridge.RankBy(r.task.Rank.By))
		if err != nil {
			return nil, err
		}
		for i, x := range ranked {
			out[i] = answered{text: choices[i][x.Best], best: x.Best, losses: x.Scores}
		}
		return out, nil
	}
	texts, err := r.model.ContinueFeatures(ctx, f.stack(names), prompts, r.plan.Settings.Generate.Options())
	if err != nil {
		return nil, err
	}
	for i, text := range texts {
		out[i].text = text
	}
	return out, nil
}

// line returns the line of an answered question.
func (r *runner) line(q question, a answered) Sample {
	s := Sample{Index: q.index, ID: q.ID, Prompt: q.prompt, Raw: a.text, Target: q.Targets, Losses: a.losses, Types: named(q.Types)}
	if q.Picture != nil {
		s.Picture = q.Picture.Name
	}
	if r.task.How() == tasks.Ranks {
		s.Choices = q.Choices
		if q.Right >= 0 {
			s.Right = &q.Right
		}
	}
	if a.err != nil {
		s.Error = oneLine(a.err)
	}
	if q.damaged {
		s.ID = fmt.Sprintf("%s%d", damagedID, q.index)
	}
	if s.Target == nil {
		s.Target = []string{}
	}
	text, value, ok := r.scorer.One(q.place, scored(s))
	if s.Normalised = text; ok && a.err == nil {
		s.Score = &value
	}
	return s
}

// named returns types without those that have no name.
func named(types map[string]string) map[string]string {
	out := map[string]string{}
	for by, name := range types {
		if name != "" {
			out[by] = name
		}
	}
	return out
}
