package benchmark

import "github.com/modular-bridging/bridge/adapters"

// A run goes on while at most maxFailed samples have failed, or the share maxFailedShare of all samples if
// that is more.
const (
	maxFailed      = 10
	maxFailedShare = 0.01
)

// checkFailures returns an error if too many samples have failed, or all.
func (r *runner) checkFailures() error {
	if r.failed == 0 || r.failed < len(r.samples) && r.failed <= max(maxFailed, int(maxFailedShare*float64(len(r.samples)))) {
		return nil
	}
	first := failuresOf(r.lines.done)[0]
	return adapters.Errorf(adapters.Invalid, "%d of the first %d samples failed, and at most %d or %.0f %% may, and not all: the first is %s: %s",
		r.failed, len(r.lines.done), maxFailed, 100*maxFailedShare, first.ID, first.Error).
		WithRemedy("mend the files and run with --fresh, which also discards the answers so far; %s names all", SamplesFile)
}

// failuresOf returns the samples without an answer.
func failuresOf(samples []Sample) []Failure {
	var out []Failure
	for _, s := range samples {
		if s.Error != "" {
			out = append(out, Failure{ID: s.ID, Error: s.Error})
		}
	}
	return out
}
