package train

import (
	"math/rand/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
)

// picks returns the batch of step n of a stage: which examples, and what is
// asked of each. A function of seed, stage and n alone.
func (s *Session) picks(st Stage, n int) []data.Pick {
	rows := s.sampler(st).Indices(n)
	rng := rand.New(rand.NewPCG(placeSeed(s.Plan.Seed, st.Name, n, -1), 0))
	picks := make([]data.Pick, len(rows))
	for i, row := range rows {
		picks[i] = draw(rng, s.Train.Data.Example(row), row, st)
	}
	return picks
}

// sampler chooses the examples of a stage's batches: among the cached pictures
// alone where the stage has a cache.
func (s *Session) sampler(st Stage) *data.Sampler {
	n := s.Train.Data.Len()
	if st.CachedQueries > 0 {
		n = min(n, st.CachedQueries)
	}
	x := &data.Sampler{Seed: placeSeed(s.Plan.Seed, st.Name, 0, 0), Batch: st.Batch, Len: n, Similar: st.Mix.Similar}
	if st.Mix.Similar > 0 {
		if s.words == nil {
			s.words = data.NewWordIndex(s.Train.Data)
		}
		x.Words = s.words
	}
	return x
}

// draw chooses between a caption and a question, and which.
func draw(rng *rand.Rand, e data.Example, row int, st Stage) data.Pick {
	ask := rng.Float64() < st.Mix.Questions
	if len(e.Questions) > 0 && (ask || len(e.Captions) == 0) {
		return data.Pick{Index: row, Question: &e.Questions[rng.IntN(len(e.Questions))]}
	}
	p := data.Pick{Index: row, Caption: e.Captions[rng.IntN(len(e.Captions))]}
	if st.Objective == PrefixLM {
		p.Prefix, p.Caption = data.SplitPrefix(rng, p.Caption)
	}
	return p
}

// example turns a pick into a language model's example about soft prompt i.
func example(prompts bridge.Templates, objective Objective, p data.Pick, i int) adapters.Example {
	switch {
	case p.Question != nil:
		return prompts.QuestionExample(i, p.Question.Question, p.Question.Answer)
	case objective == PrefixLM:
		return prompts.PrefixExample(i, p.Prefix, p.Caption)
	case objective == LanguageModeling:
		return prompts.BareExample(i, p.Caption)
	}
	return prompts.CaptionExample(i, p.Caption)
}
