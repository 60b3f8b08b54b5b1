package train

import "github.com/modular-bridging/bridge/train/cost"

// startCounting counts what the initialisation of the bridge computed, and every call of the
// language model from now on.
func (s *Session) startCounting() {
	if s.Cost == nil {
		s.Cost = &cost.Meter{}
	}
	s.language = s.Cost.Language(s.Language)
	defer s.Cost.Enter(cost.Start)()
	s.forwards = 0
	s.countForwards()
	s.counted = s.Cost.Ledger()
}

// restoreCount continues with the counts of a checkpoint. Older checkpoints have none; then the
// run has none either, because a part of them would mislead.
func (s *Session) restoreCount(saved cost.Ledger) {
	s.Cost.Restore(saved)
	s.counted = saved
}

// countForwards adds the rows that went through the Q-Former to the current phase.
func (s *Session) countForwards() {
	now := s.Bridge.Forwards()
	s.Cost.Add(cost.Count{QFormerForwards: now - s.forwards})
	s.forwards = now
}

// commitCount makes the counts so far those of the next checkpoint. The caller holds s.state.
func (s *Session) commitCount() {
	if s.counted != nil {
		s.counted = s.Cost.Ledger()
	}
}

// whileCounting calls work and counts it under a phase. If work fails, its counts are in no
// checkpoint, because a resumed run does the work again.
func (s *Session) whileCounting(phase string, work func() error) error {
	defer s.Cost.Enter(phase)()
	if err := work(); err != nil {
		return err
	}
	s.state.Lock()
	defer s.state.Unlock()
	s.countForwards()
	s.commitCount()
	return nil
}

// countCaching counts the Q-Former outputs that a phase caches, unless it continues: then its
// checkpoint has counted them.
func (s *Session) countCaching(from position) {
	if from.step > 0 {
		s.forwards = s.Bridge.Forwards()
		return
	}
	s.countForwards()
}
