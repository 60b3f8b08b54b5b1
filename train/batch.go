package train

import (
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
)

// batch returns the samples of step n of a phase. It depends only on the seed, the
// phase, n and the pictures that are left out. Of a question that several people answered,
// it draws one answer, whatever the objective. The error for records that cannot be used is a
// [data.PictureErrors].
func (s *Session) batch(phase Phase, n int) ([]data.Sample, error) {
	return s.drawBatch(phase, n, s.order(phase).Indices(n))
}

// drawBatch returns the samples of step n of a phase, whose rows are known. Several goroutines
// may call it.
func (s *Session) drawBatch(phase Phase, n int, rows []int) ([]data.Sample, error) {
	rng := rand.New(rand.NewPCG(seedAt(s.Plan.Seed, phase.Name, n, -1), 0))
	records, err := readRecords(s.Train.Data, rows, phase)
	if err != nil {
		return nil, err
	}
	batch := make([]data.Sample, len(rows))
	for i, r := range records {
		batch[i] = draw(rng, r, phase)
		batch[i].Index, batch[i].ImageID = rows[i], r.ImageID
	}
	numberGroups(batch, records)
	return batch, nil
}

// draw draws a sample from a record.
func draw(rng *rand.Rand, r data.Record, phase Phase) data.Sample {
	if r.Sequence != nil {
		return data.Sample{Turns: data.DrawTurns(rng, r.Sequence)}
	}
	sample := phase.Objective.Draw(rng, r, phase.Mix)
	if sample.Question != nil {
		q := sample.Question.DrawAnswer(rng)
		sample.Question = &q
	}
	return sample
}

// readRecords returns the records of rows. The error for those that cannot be used in a phase
// is a [data.PictureErrors] with all of them.
func readRecords(d data.Dataset, rows []int, phase Phase) ([]data.Record, error) {
	records := make([]data.Record, len(rows))
	var bad data.PictureErrors
	for i, row := range rows {
		var err error
		if records[i], err = d.Record(row); err == nil {
			err = checkRecord(d, row, records[i], phase)
		}
		var p *data.PictureError
		switch {
		case err == nil:
		case errors.As(err, &p):
			bad = append(bad, p)
		default:
			return nil, err
		}
	}
	if len(bad) > 0 {
		return nil, bad.Once()
	}
	return records, nil
}

// checkRecord returns a [*data.PictureError] for a record that a phase cannot train on.
func checkRecord(d data.Dataset, row int, r data.Record, phase Phase) error {
	err := Usable(r, phase.Objective.Stage, phase.Mix.Questions)
	if err == nil {
		return nil
	}
	if lazy, ok := d.(data.Lazy); ok {
		return lazy.Bad(row, record.NoTarget, err)
	}
	return &data.PictureError{Picture: r.ID, Row: row, Err: err}
}

// Usable returns the reason for which a stage cannot train on a record. questions is the
// fraction of questions in a batch.
func Usable(r data.Record, stage int, questions float64) error {
	switch {
	case len(r.Captions) > 0:
		return nil
	case stage == 1:
		return adapters.Errorf(adapters.Invalid, "the record has no caption of one picture, which stage 1 trains on")
	case questions == 0 && asks(r):
		return adapters.Errorf(adapters.Invalid, "the record has questions and no caption, and data.questions is 0").
			WithRemedy("set data.questions = 1, or a fraction if other records have captions")
	case len(r.Questions) == 0 && r.Sequence == nil:
		return adapters.Errorf(adapters.Invalid, "the record has no text to learn")
	}
	return nil
}

// asks reports whether a record without captions has questions.
func asks(r data.Record) bool {
	return len(r.Questions) > 0 || slices.ContainsFunc(r.Sequence, func(p record.Part) bool { return p.Role == record.Question })
}

// numberGroups sets the image ids of samples whose records name a group: equal groups of a
// batch get equal numbers.
func numberGroups(batch []data.Sample, records []data.Record) {
	numbers := map[string]int32{}
	for i, r := range records {
		if r.Group == "" {
			continue
		}
		if _, ok := numbers[r.Group]; !ok {
			numbers[r.Group] = int32(len(numbers))
		}
		batch[i].ImageID = numbers[r.Group]
	}
}

// rowsDrawn returns how many of the first rows of the training set a phase draws from: all of
// them, or those whose Q-Former outputs it caches.
func (s *Session) rowsDrawn(phase Phase) int {
	n := s.Train.Data.Len()
	if phase.CachedQueries > 0 {
		n = min(n, phase.CachedQueries)
	}
	return n
}

// order returns the order of a phase's batches: the mixture of the plan, or that of one
// source. A phase that caches Q-Former outputs draws the cached pictures without a mixture.
func (s *Session) order(phase Phase) data.Order {
	if sources, ok := s.Train.Data.(*data.Sources); ok && s.Plan.Mixture != nil && phase.CachedQueries == 0 {
		shares, _ := s.Plan.Mixture.Shares(sources.Sizes()) // Check has computed them
		return &data.Mixture{Seed: seedAt(s.Plan.Seed, phase.Name, 0, 0), Batch: phase.Batch, Sizes: sources.Sizes(),
			Shares: shares, OneSource: s.Plan.Mixture.OneSource, LeftOut: s.leftOutRows()}
	}
	return s.sampler(phase)
}

// sampler returns the order of one source.
func (s *Session) sampler(phase Phase) *data.Sampler {
	n := s.rowsDrawn(phase)
	sampler := &data.Sampler{Seed: seedAt(s.Plan.Seed, phase.Name, 0, 0), Batch: phase.Batch, Len: n, Similar: phase.Mix.Similar,
		LeftOut: s.leftOutRows()}
	if phase.Mix.Similar > 0 {
		if s.wordIndex == nil {
			s.wordIndex = data.NewWordIndex(s.Train.Data)
		}
		sampler.Words = s.wordIndex
	}
	return sampler
}
