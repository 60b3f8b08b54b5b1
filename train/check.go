package train

import (
	"fmt"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// Check returns an error if the session cannot run.
func (s *Session) Check() error {
	if len(s.Plan.Phases) == 0 {
		return adapters.Errorf(adapters.Invalid, "the plan has no phases, want at least one")
	}
	questions := slices.ContainsFunc(s.Plan.Phases, func(p Phase) bool { return p.Mix.Questions > 0 })
	if _, without := WithCaptions(s.Train); without > 0 && !questions {
		return fmt.Errorf("%d pictures of %s have no caption, and the plan asks no questions", without, s.Train.Data.Name())
	}
	if err := s.checkMixture(); err != nil {
		return err
	}
	if err := s.checkSimilar(); err != nil {
		return err
	}
	for _, phase := range s.Plan.Phases {
		if err := s.checkPhase(phase); err != nil {
			return fmt.Errorf("%s: %w", phase.Name, err)
		}
	}
	return nil
}

func (s *Session) checkPhase(phase Phase) error {
	if err := phase.Objective.Check(); err != nil {
		return err
	}
	if phase.Objective.Stage == 2 {
		if err := CheckLanguage(s.Language); err != nil {
			return err
		}
	}
	switch {
	case phase.Objective.Stage != s.Bridge.Info.Stage:
		return fmt.Errorf("%s is an objective of stage %d, but the bridge is of stage %d", phase.Objective, phase.Objective.Stage, s.Bridge.Info.Stage)
	case phase.Schedule.Steps < 1:
		return fmt.Errorf("%d steps, want at least 1", phase.Schedule.Steps)
	case phase.Batch < 1:
		return fmt.Errorf("batch of %d, want at least 1", phase.Batch)
	case phase.Accumulate > 1 && phase.Objective.Stage == 1:
		return fmt.Errorf("accumulate = %d, but ITC compares the whole batch at once; use 1 and a smaller batch", phase.Accumulate)
	case phase.Accumulate > 1 && phase.Batch%phase.Accumulate != 0:
		return fmt.Errorf("a batch of %d does not divide into %d micro-batches", phase.Batch, phase.Accumulate)
	case phase.Batch > s.Train.Data.Len():
		return adapters.Errorf(adapters.Invalid, "a batch of %d from %d examples (%s)%s", phase.Batch, s.Train.Data.Len(), s.Train.Data.Name(), s.Train.without()).
			WithRemedy("lower optimizer.batch, or give more data")
	case phase.CachedQueries > 0 && slices.Contains(phase.Train, QFormer):
		return fmt.Errorf("the phase trains the Q-Former, so its outputs cannot be cached")
	case phase.CachedQueries > 0 && phase.Batch > phase.CachedQueries:
		return adapters.Errorf(adapters.Invalid, "the batch is %d, want at most the %d cached pictures", phase.Batch, phase.CachedQueries).
			WithRemedy("lower optimizer.batch, or cache more pictures (swap.warmup_images)")
	}
	return nil
}

// maxSimilar is the most records of a source among which similar ones are found: the words of all
// their captions are in memory.
const maxSimilar = 2_000_000

// checkSimilar returns an error if a source is too large to find similar records in it.
func (s *Session) checkSimilar() error {
	similar := slices.ContainsFunc(s.Plan.Phases, func(p Phase) bool { return p.Mix.Similar > 0 })
	if _, lazy := s.Train.Data.(data.Lazy); !lazy || !similar || s.Train.Data.Len() <= maxSimilar {
		return nil
	}
	return adapters.Errorf(adapters.Unsupported, "%s has %d records, and data.similar holds the words of at most %d in memory",
		s.Train.Data.Name(), s.Train.Data.Len(), maxSimilar).WithRemedy("set data.similar = 0, or train on a part of the data")
}

// checkMixture returns an error if the plan's mixture does not fit the training set.
func (s *Session) checkMixture() error {
	if s.Plan.Mixture == nil {
		return nil
	}
	sources, ok := s.Train.Data.(*data.Sources)
	if !ok {
		return adapters.Errorf(adapters.Invalid, "the plan mixes sources, and %s is one data set", s.Train.Data.Name())
	}
	if _, err := s.Plan.Mixture.Shares(sources.Sizes()); err != nil {
		return adapters.Errorf(adapters.Invalid, "the mixture of %s: %w", s.Train.Data.Name(), err)
	}
	return nil
}

// CheckLanguage returns an error if nothing can be trained through a language model.
func CheckLanguage(m adapters.LanguageModel) error {
	if m == nil {
		return adapters.Errorf(adapters.Invalid, "stage 2 needs a language model, and the session has none").
			WithRemedy("set Session.Language")
	}
	if spec := m.Spec(); !spec.Has(adapters.CapGradient) {
		return adapters.Errorf(adapters.Unsupported, "%s gives no gradient by the soft prompts, so nothing can be trained through it", spec.ID).
			WithRemedy("train with an adapter that does, on the same checkpoint; captions and scores work with this one")
	}
	return nil
}
