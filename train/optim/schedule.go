package optim

import "math"

// Schedule is linear warm-up from 0 to Peak over the first Warmup steps, then a
// cosine that reaches MinFactor·Peak at step Steps and stays there (BLIP-2,
// section 3.4; per step, where LAVIS moves once an epoch).
type Schedule struct {
	Peak          float64
	Steps, Warmup int
	MinFactor     float64
}

// Rate returns the learning rate of an optimizer step, counted from 1, so that
// no step is spent at rate 0.
func (s Schedule) Rate(step int) float64 {
	if step < s.Warmup {
		return s.Peak * float64(step) / float64(s.Warmup)
	}
	if step >= s.Steps {
		return s.Peak * s.MinFactor
	}
	progress := float64(step-s.Warmup) / float64(s.Steps-s.Warmup)
	return s.Peak * (s.MinFactor + (1-s.MinFactor)*(1+math.Cos(math.Pi*progress))/2)
}
