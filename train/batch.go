package train

import (
	"math/rand/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
)

// batch returns the samples of step n of a phase. It depends only on the seed, the
// phase and n.
func (s *Session) batch(phase Phase, n int) []data.Sample {
	rows := s.sampler(phase).Indices(n)
	rng := rand.New(rand.NewPCG(seedAt(s.Plan.Seed, phase.Name, n, -1), 0))
	batch := make([]data.Sample, len(rows))
	for i, row := range rows {
		batch[i] = draw(rng, s.Train.Data.Record(row), row, phase)
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
	sampler := &data.Sampler{Seed: seedAt(s.Plan.Seed, phase.Name, 0, 0), Batch: phase.Batch, Len: n, Similar: phase.Mix.Similar}
	if phase.Mix.Similar > 0 {
		if s.wordIndex == nil {
			s.wordIndex = data.NewWordIndex(s.Train.Data)
		}
		sampler.Words = s.wordIndex
	}
	return sampler
}

// draw draws a caption or a question of a record.
func draw(rng *rand.Rand, record data.Record, row int, phase Phase) data.Sample {
	ask := rng.Float64() < phase.Mix.Questions
	if len(record.Questions) > 0 && (ask || len(record.Captions) == 0) {
		return data.Sample{Index: row, Question: &record.Questions[rng.IntN(len(record.Questions))]}
	}
	sample := data.Sample{Index: row, Caption: record.Captions[rng.IntN(len(record.Captions))]}
	if phase.Objective == PrefixLM {
		sample.Prefix, sample.Caption = data.SplitPrefix(rng, sample.Caption)
	}
	return sample
}

// example returns the language model's example for a sample about soft prompt i.
func example(templates bridge.Prompts, objective Objective, sample data.Sample, i int) adapters.Example {
	switch {
	case sample.Question != nil:
		return templates.QuestionExample(i, sample.Question.Question, sample.Question.Answer)
	case objective == PrefixLM:
		return templates.PrefixExample(i, sample.Prefix, sample.Caption)
	case objective == LanguageModeling:
		return templates.BareExample(i, sample.Caption)
	}
	return templates.CaptionExample(i, sample.Caption)
}
