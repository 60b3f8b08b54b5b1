package ladder

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
)

// Verdict compares a rung with another one, over the seeds that both have. The other rung is Q*
// ([Ladder.Verdicts]) or any one ([Ladder.VerdictsAgainst]).
type Verdict struct {
	Rung
	Loss, Exact Interval // of the rung
	// Difference is the exact match of the rung less that of the other one. Ratio is the loss of the
	// rung by that of the other one.
	Difference, Ratio Interval
	// Seeds is the number of seeds that both have. 0: there is no comparison.
	Seeds int
	// NotInferior is true if the difference's interval stays above −margin and the ratio is at
	// most the limit. Better is true if, in addition, that interval stays above 0.
	NotInferior, Better bool
}

// judge compares a rung with another one on a set of held-out data.
func judge(rules recipes.Ladder, set string, rung, other Rung) (Verdict, error) {
	p, err := pairOf(set, rung, other)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Rung: rung, Seeds: len(p.mine.losses), Difference: Difference(p.mine.exact, p.its.exact), Ratio: ratio(p.mine.losses, p.its.losses)}
	v.NotInferior = v.Difference.Low > -rules.Margin && v.Ratio.Mean <= rules.LossRatio
	v.Better = v.NotInferior && v.Difference.Low > 0
	return v, nil
}

// notInferior returns [Verdict.NotInferior] of judge. It takes no samples if the means say no.
func notInferior(rules recipes.Ladder, set string, rung, other Rung) (bool, error) {
	p, err := pairOf(set, rung, other)
	if err != nil || p.difference() <= -rules.Margin || ratio(p.mine.losses, p.its.losses).Mean > rules.LossRatio {
		return false, err
	}
	v, err := judge(rules, set, rung, other)
	return v.NotInferior, err
}

// pair holds the measurements of two rungs on one set of held-out data, for the seeds that both have.
type pair struct{ mine, its measured }

// difference returns the difference in exact match.
func (p pair) difference() (sum float64) {
	for i := range p.mine.exact {
		sum += Bits(p.mine.exact[i]).Share() - Bits(p.its.exact[i]).Share()
	}
	return sum / float64(len(p.mine.exact))
}

// pairOf returns what two rungs measured. It returns an error if they cannot be paired.
func pairOf(set string, rung, other Rung) (p pair, err error) {
	mine, its := common(rung, other)
	if len(mine.Records) == 0 {
		return p, adapters.Errorf(adapters.Invalid, "%s and %s have no seed in common", rung.Name(), other.Name()).
			WithRemedy("train both with the same seeds")
	}
	if err := samePictures(set, mine, its); err != nil {
		return p, err
	}
	if p.mine, err = mine.measured(set); err == nil {
		p.its, err = its.measured(set)
	}
	return p, err
}

// samePictures returns an error if two runs of the rungs were measured on different pictures.
func samePictures(set string, rungs ...Rung) error {
	var first Set
	var of string
	for _, rung := range rungs {
		for _, record := range rung.Records {
			s, err := record.set(set)
			if err != nil {
				return err
			}
			if of == "" {
				first, of = s, record.Name()
			}
			if s.Name != first.Name || len(s.Exact) != len(first.Exact) {
				return adapters.Errorf(adapters.Invalid, "%s was measured on %d captions of %q, and %s on %d of %q: their captions cannot be paired",
					record.Name(), len(s.Exact), s.Name, of, len(first.Exact), first.Name).
					WithRemedy("train both with the same held-out data and the same evaluation.final_captions")
			}
		}
	}
	return nil
}
