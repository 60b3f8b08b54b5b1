package ladder

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/recipes"
)

// Ladder is the analysis of the runs of one combination of frozen models.
type Ladder struct {
	Encoder, LLM string
	Rules        recipes.Ladder
	// Sets are the held-out data that all runs were measured on. The first one decides.
	Sets []string
	End  End
	Best *Rung // Q*; nil while the climb goes on
	C    *Rung // nil until it is known
	// Climbed are the baseline's complete rungs, ascending.
	Climbed []Rung

	climb     climb
	cost      costC
	rungs     map[string]map[int]*Rung
	unswapped map[string]bool // options
	cold      map[string]bool // options
}

// IsSwap reports whether an option carries a bridge over to other frozen models: it neither starts
// cold nor keeps the bridge's own models.
func (l *Ladder) IsSwap(option string) bool { return !l.unswapped[option] && !l.cold[option] }

// Bound says how C relates to the true cost of a cold start that has converged.
type Bound string

// The bounds. C is exact within a factor of √2.
const (
	Exact   Bound = "="
	AtLeast Bound = "≥" // the climb ended at the limit of examples: what Q* lacks would cost more
	AtMost  Bound = "≤" // the lowest rung is not inferior: less was not tried
	Unclear Bound = "~" // both
)

// Bound returns the bound of C.
func (l *Ladder) Bound() Bound {
	lowest := l.C != nil && l.C.Budget == l.Rules.Base
	switch {
	case lowest && l.End == Limit:
		return Unclear
	case lowest:
		return AtMost
	case l.End == Limit:
		return AtLeast
	}
	return Exact
}

// OfC returns the bound of fractions of C, which is the opposite of the bound of C.
func (b Bound) OfC() Bound {
	switch b {
	case AtLeast:
		return AtMost
	case AtMost:
		return AtLeast
	}
	return b
}

// Analyze returns the ladder of a combination of frozen models.
func (r *Results) Analyze(encoder, llm string) (*Ladder, error) {
	l := &Ladder{Encoder: encoder, LLM: llm, Rules: *r.Matrix.Ladder, rungs: r.rungs(encoder, llm),
		unswapped: map[string]bool{}, cold: map[string]bool{}}
	for name, option := range r.Matrix.Options {
		l.unswapped[name], l.cold[name] = option.Unswapped, option.Cold
	}
	var err error
	if l.Sets, err = l.commonSets(); err != nil || len(l.Sets) == 0 {
		l.climb = climbOf(l.Rules, nil)
		return l, err
	}
	baseline := l.rungs[l.Rules.Baseline]
	l.climb = climbOf(l.Rules, baseline)
	l.End = l.climb.end
	if top, ok := l.climb.top(); ok {
		l.Best = &top
	}
	if l.cost, err = costOf(l.Rules, l.Sets[0], l.climb, baseline); err != nil {
		return nil, err
	}
	if l.cost.known {
		l.C = &l.cost.rung
	}
	for _, budget := range budgetsOf(baseline) {
		if baseline[budget].Complete {
			l.Climbed = append(l.Climbed, *baseline[budget])
		}
	}
	return l, nil
}

// commonSets returns the names of the data that all runs were measured on, the one that decides
// first. It is empty if there are no runs.
func (l *Ladder) commonSets() (names []string, err error) {
	first := true
	for _, records := range l.all() {
		for _, r := range records.Records {
			decides, err := r.set(l.Rules.Judge)
			if err != nil {
				return nil, err
			}
			own := []string{decides.Name}
			for _, s := range r.Sets {
				if s.Name != decides.Name {
					own = append(own, s.Name)
				}
			}
			if first {
				names, first = own, false
				continue
			}
			names = slices.DeleteFunc(names, func(n string) bool { return n != names[0] && !slices.Contains(own, n) })
		}
	}
	return names, nil
}

// all returns all rungs: the baseline's first, then by option, with ascending budgets.
func (l *Ladder) all() (all []Rung) {
	options := slices.SortedFunc(maps.Keys(l.rungs), func(a, b string) int {
		switch l.Rules.Baseline {
		case a:
			return -1
		case b:
			return 1
		}
		return cmp.Compare(a, b)
	})
	for _, option := range options {
		for _, budget := range budgetsOf(l.rungs[option]) {
			all = append(all, *l.rungs[option][budget])
		}
	}
	return all
}

// Verdicts compares all rungs with Q* on a set of held-out data: the baseline's first, then by
// option, with ascending budgets. Until Q* is known, the verdicts have no comparison, and neither has
// that of a rung without a seed in common with Q*.
func (l *Ladder) Verdicts(set string) ([]Verdict, error) {
	if l.Best == nil {
		return l.VerdictsAgainst(set, Rung{})
	}
	return l.VerdictsAgainst(set, *l.Best)
}

// VerdictsAgainst is [Ladder.Verdicts] with another rung in place of Q*, which need not be known.
// [Ladder.Find] finds other. With a rung that has no records, no verdict has a comparison.
func (l *Ladder) VerdictsAgainst(set string, other Rung) (all []Verdict, err error) {
	for _, rung := range l.all() {
		v := Verdict{Rung: rung}
		if mine, _ := common(rung, other); len(mine.Records) > 0 {
			if v, err = judge(l.Rules, set, rung, other); err != nil {
				return nil, err
			}
		}
		if v.Loss, err = rung.Loss(set); err != nil {
			return nil, err
		}
		if v.Exact, err = rung.Exact(set); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// budgets returns the budgets that an option needs, as far as they are known.
func (l *Ladder) budgets(m *recipes.Matrix, option string) []int {
	if option == l.Rules.Baseline {
		all := []int{l.climb.next, l.cost.half}
		for budget := l.Rules.Base; l.climb.next == 0 && budget <= l.Best.Budget || budget < l.climb.next; budget *= 2 {
			all = append(all, budget)
		}
		return positive(all)
	}
	all := slices.Clone(m.Options[option].Budgets)
	if l.C != nil {
		for _, fraction := range m.FractionsOf(option) {
			all = append(all, max(1, int(math.Round(fraction*float64(l.C.Budget)))))
		}
	}
	if m.Options[option].Climb {
		for _, rung := range l.Climbed {
			all = append(all, rung.Budget)
		}
	}
	return positive(all)
}

// positive returns the distinct positive numbers, ascending.
func positive(all []int) []int {
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(n int) bool { return n <= 0 })
}
