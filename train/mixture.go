package train

import (
	"fmt"

	"github.com/modular-bridging/bridge/data"
)

// shareSeries returns the name of the series of a source's share of the records that a phase
// has drawn so far.
func shareSeries(phase, source string) string { return phase + "/share/" + source }

// logMixture logs the share that each source of a phase's mixture will have.
func (s *Session) logMixture(phase Phase) {
	m, ok := s.order(phase).(*data.Mixture)
	if !ok {
		return
	}
	sources := s.Train.Data.(*data.Sources)
	counts := m.Counts(phase.Schedule.Steps)
	for i, name := range sources.SourceNames() {
		s.Log.Info("source of the mixture", "phase", phase.Name, "source", name, "records", m.Sizes[i],
			"share", fmt.Sprintf("%.4f", m.Shares[i]), "draws", counts[i], "epochs", fmt.Sprintf("%.2f", float64(counts[i])/float64(m.Sizes[i])))
	}
}

// addShares adds the share of each source of a mixture in the first n steps of a phase.
func (s *Session) addShares(values map[string]float64, phase Phase, n int) {
	m, ok := s.order(phase).(*data.Mixture)
	if !ok {
		return
	}
	counts := m.Counts(n)
	for i, name := range s.Train.Data.(*data.Sources).SourceNames() {
		values[shareSeries(phase.Name, name)] = float64(counts[i]) / float64(n*phase.Batch)
	}
}

// logLeftOut logs how many records and pictures the run has left out for each reason.
func (s *Session) logLeftOut() {
	for _, set := range []Set{s.Train, s.Eval} {
		for why, n := range set.LeftOut.Counts() {
			s.Log.Warn("records left out", "data", set.Data.Name(), "reason", why, "number", n, "of", set.Data.Len())
		}
	}
}
