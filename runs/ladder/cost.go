package ladder

import (
	"gonum.org/v1/gonum/stat"

	"github.com/modular-bridging/bridge/train/cost"
)

// Cost counts the work of a run's training: its start, its caches and its steps. Evaluations do not
// count.
type Cost struct {
	// Counts is the work of the run. It is nil if an older version of bridge trained it.
	Counts *cost.Count `json:"counts,omitempty"`
	// Measured is the time of the training in seconds. It depends on what else the machine did.
	Measured float64 `json:"measured_seconds,omitempty"`
}

// Passes returns the number of language-model passes: examples that went forward and backward.
// Without counts, it is the number of examples that the steps trained on.
func (r Record) Passes() float64 {
	if r.Counts != nil {
		return float64(r.Counts.LanguagePasses)
	}
	return float64(r.Examples())
}

// Seconds returns the seconds of the run's counts at the time of one pass of each kind, as if no
// features had been in the cache. ok is false if the run has no counts, or if a kind that it counts
// has no time.
func (r Record) Seconds(pass *cost.Prices) (seconds float64, ok bool) {
	if r.Counts == nil || pass == nil || !r.Counts.Priced(*pass, true) {
		return 0, false
	}
	return r.Counts.Seconds(*pass, true), true
}

// mean returns the mean of a value over the runs of a rung.
func (r Rung) mean(value func(Record) float64) float64 {
	var all []float64
	for _, record := range r.Records {
		all = append(all, value(record))
	}
	return stat.Mean(all, nil)
}

// Passes returns the mean of [Record.Passes].
func (r Rung) Passes() float64 { return r.mean(Record.Passes) }

// Seconds returns the mean of [Record.Seconds] over a rung's runs. ok is false if a run has none.
// Options that keep the bridge's own models have none, because the times are those of the new ones.
func (l *Ladder) Seconds(r Rung) (seconds float64, ok bool) {
	for _, record := range r.Records {
		if _, ok := record.Seconds(l.Rules.PassSeconds); !ok || l.unswapped[r.Option] {
			return 0, false
		}
	}
	return r.mean(func(r Record) float64 { s, _ := r.Seconds(l.Rules.PassSeconds); return s }), len(r.Records) > 0
}
