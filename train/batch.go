package train

import (
	"math/rand/v2"

	"github.com/modular-bridging/bridge/data"
)

// batch returns the samples of step n of a phase. It depends only on the seed, the
// phase, n and the pictures that are left out. Of a question that several people answered,
// it draws one answer, whatever the objective.
func (s *Session) batch(phase Phase, n int) []data.Sample {
	rows := s.sampler(phase).Indices(n)
	rng := rand.New(rand.NewPCG(seedAt(s.Plan.Seed, phase.Name, n, -1), 0))
	batch := make([]data.Sample, len(rows))
	for i, row := range rows {
		batch[i] = phase.Objective.Draw(rng, s.Train.Data.Record(row), phase.Mix)
		batch[i].Index = row
		if batch[i].Question != nil {
			q := batch[i].Question.DrawAnswer(rng)
			batch[i].Question = &q
		}
	}
	return batch
}

// sampler returns the sampler of a phase's batches. If the phase caches Q-Former
// outputs, it draws only the cached pictures.
func (s *Session) sampler(phase Phase) *data.Sampler {
	n := s.Train.Data.Len()
	if phase.CachedQueries > 0 {
		n = min(n, phase.CachedQueries)
	}
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
