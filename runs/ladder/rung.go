package ladder

import (
	"cmp"
	"maps"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// Rung is the runs of one option with one budget, in the order of their seeds.
type Rung struct {
	Option  string
	Budget  int
	Records []Record
	// Complete is true if every seed of the option has a run.
	Complete bool
}

// rungs returns the rungs of a combination of frozen models, by option and budget.
func (r *Results) rungs(encoder, llm string) map[string]map[int]*Rung {
	all := map[string]map[int]*Rung{}
	for _, record := range r.Runs {
		if record.Encoder != encoder || record.LLM != llm {
			continue
		}
		if all[record.Option] == nil {
			all[record.Option] = map[int]*Rung{}
		}
		rung := all[record.Option][record.Budget]
		if rung == nil {
			rung = &Rung{Option: record.Option, Budget: record.Budget}
			all[record.Option][record.Budget] = rung
		}
		rung.Records = append(rung.Records, record)
	}
	for option, budgets := range all {
		for _, rung := range budgets {
			slices.SortFunc(rung.Records, func(a, b Record) int { return cmp.Compare(a.Seed, b.Seed) })
			rung.Complete = !slices.ContainsFunc(r.Matrix.SeedsOf(option), func(seed uint64) bool { return !rung.has(seed) })
		}
	}
	return all
}

func (r *Rung) has(seed uint64) bool {
	return slices.ContainsFunc(r.Records, func(record Record) bool { return record.Seed == seed })
}

// budgetsOf returns the budgets of rungs, ascending.
func budgetsOf(rungs map[int]*Rung) []int { return slices.Sorted(maps.Keys(rungs)) }

// measured holds the measurements of a rung's runs on one set of held-out data.
type measured struct {
	losses []float64 // by run
	exact  [][]bool  // by run and picture
}

// measured returns the results of the runs on a set. It returns an error if a run lacks its
// loss or its captions.
func (r Rung) measured(set string) (m measured, err error) {
	for _, record := range r.Records {
		s, err := record.set(set)
		if err != nil {
			return m, err
		}
		if !(s.Loss > 0) || len(s.Exact) == 0 {
			return m, adapters.Errorf(adapters.Invalid, "%s has the loss %v and %d captions on %s, and a ladder compares both",
				record.Name(), s.Loss, len(s.Exact), s.Name).
				WithRemedy("set evaluation.examples and evaluation.final_captions in the matrix")
		}
		m.losses, m.exact = append(m.losses, s.Loss), append(m.exact, s.Exact)
	}
	return m, nil
}

// Loss returns the mean held-out loss on a set, with Student's interval over the seeds.
func (r Rung) Loss(set string) (Interval, error) {
	m, err := r.measured(set)
	if err != nil {
		return Interval{}, err
	}
	return overSeeds(m.losses), nil
}

// Exact returns the share of exact captions on a set, with its interval over pictures and seeds.
func (r Rung) Exact(set string) (Interval, error) {
	if err := samePictures(set, r); err != nil {
		return Interval{}, err
	}
	m, err := r.measured(set)
	if err != nil {
		return Interval{}, err
	}
	return Mean(m.exact), nil
}

// Before returns what the runs had on data.eval before any step, with Student's intervals over the
// seeds. It returns nil for what a run did not measure.
func (r Rung) Before() (loss, exact *Interval) {
	var losses, shares []float64
	for _, record := range r.Records {
		if b := record.Before; b != nil {
			losses = append(losses, b.Loss)
			if b.Exact != nil {
				shares = append(shares, *b.Exact)
			}
		}
	}
	return overAll(losses, len(r.Records)), overAll(shares, len(r.Records))
}

// overAll returns the interval of n values, or nil if there are fewer.
func overAll(values []float64, n int) *Interval {
	if len(values) < n || n == 0 {
		return nil
	}
	i := overSeeds(values)
	return &i
}

// share returns the share of exact captions on data.eval, without an interval.
func (r Rung) share() float64 {
	return r.mean(func(r Record) float64 { return r.Sets[0].Exact.Share() })
}

// loss returns the mean held-out loss on data.eval, without an interval.
func (r Rung) loss() float64 { return r.mean(func(r Record) float64 { return r.Sets[0].Loss }) }

// common returns two rungs with the runs of the seeds that both have.
func common(a, b Rung) (Rung, Rung) {
	only := func(r, other Rung) Rung {
		r.Records = slices.DeleteFunc(slices.Clone(r.Records), func(record Record) bool { return !other.has(record.Seed) })
		return r
	}
	return only(a, b), only(b, a)
}
