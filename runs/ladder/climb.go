package ladder

import (
	"math"

	"github.com/modular-bridging/bridge/recipes"
)

// End says why the baseline's climb ended.
type End string

// The ends of a climb.
const (
	Climbing  End = ""          // it goes on: a run is missing
	Converged End = "converged" // a doubling of the budget improved little
	Limit     End = "limit"     // the next budget exceeds the ladder's examples
)

// climb is the state of the baseline's climb.
type climb struct {
	rungs []Rung // complete ones with doubled budgets, ascending
	next  int    // the budget whose runs are missing; 0 if the climb has ended
	end   End
}

// top returns Q*, the highest rung. ok is false while the climb goes on.
func (c climb) top() (top Rung, ok bool) {
	if c.end == Climbing {
		return Rung{}, false
	}
	return c.rungs[len(c.rungs)-1], true
}

// climbOf returns the state of a climb with the given runs of the baseline.
func climbOf(rules recipes.Ladder, baseline map[int]*Rung) (c climb) {
	for budget := rules.Base; ; budget *= 2 {
		rung := baseline[budget]
		if n := len(c.rungs); n > 0 && budget*c.rungs[0].Records[0].Batch > rules.Examples {
			c.end = Limit
			return c
		}
		if rung == nil || !rung.Complete {
			c.next = budget
			return c
		}
		c.rungs = append(c.rungs, *rung)
		if n := len(c.rungs); n > 1 && converged(rules, c.rungs[n-2], c.rungs[n-1]) {
			c.end = Converged
			return c
		}
	}
}

// converged reports whether the step from one rung to the next has gained so little that the climb
// ends. While captions leave objects unnamed, a small gain is a plateau, and the climb goes on.
func converged(rules recipes.Ladder, low, high Rung) bool {
	small := high.loss() > low.loss()*(1-rules.LossGain) && high.share() < low.share()+rules.ExactGain
	return small && high.share() >= rules.Plateau
}

// costC is C, the cost of the baseline.
type costC struct {
	rung  Rung
	known bool
	// half is the budget between two rungs whose runs are missing; 0 if none are.
	half int
}

// costOf finds C: the smallest rung that is not inferior to Q*, or the budget a factor of √2 below,
// if that is not inferior either. Below the lowest rung there is no other budget.
func costOf(rules recipes.Ladder, set string, c climb, baseline map[int]*Rung) (found costC, err error) {
	top, ok := c.top()
	if !ok {
		return found, nil
	}
	for i, rung := range c.rungs {
		ok, err := notInferior(rules, set, rung, top)
		if err != nil {
			return found, err
		}
		if !ok {
			continue
		}
		if i == 0 {
			return costC{rung: rung, known: true}, nil
		}
		return between(rules, set, rung, top, baseline)
	}
	return costC{rung: top, known: true}, nil // if the margin is 0, Q* is not above it either
}

// between returns the smaller one of a rung and the one a factor of √2 below it that is not inferior to
// Q*.
func between(rules recipes.Ladder, set string, rung, top Rung, baseline map[int]*Rung) (costC, error) {
	budget := int(math.Round(float64(rung.Budget) / math.Sqrt2))
	half := baseline[budget]
	if half == nil || !half.Complete {
		return costC{half: budget}, nil
	}
	ok, err := notInferior(rules, set, *half, top)
	if ok {
		rung = *half
	}
	return costC{rung: rung, known: err == nil}, err
}
