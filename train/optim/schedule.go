package optim

import "math"

// Schedule changes a learning rate over the steps of a training. The rate rises linearly to
// its peak over the first Warmup steps, then falls along a cosine to MinFactor of the peak at
// step Steps, and stays there (BLIP-2, section 3.4). It changes at each step; in LAVIS, once
// an epoch.
type Schedule struct {
	Steps     int
	Warmup    int
	MinFactor float64
	// Early, if non-nil, ends the schedule before Steps.
	Early *Early `json:",omitempty"`
}

// Early ends a schedule early: after step After the rate falls linearly, from what it is there,
// and reaches MinFactor of the peak Steps steps later.
type Early struct{ After, Steps int }

// Length returns the number of steps of the schedule.
func (s Schedule) Length() int {
	if s.Early != nil {
		return s.Early.After + s.Early.Steps
	}
	return s.Steps
}

// Rate returns the learning rate of an optimizer step, counted from 1, so that no step
// has rate 0.
func (s Schedule) Rate(peak float64, step int) float64 {
	if early := s.Early; early != nil && step > early.After {
		s.Early = nil
		from, to := s.Rate(peak, early.After), peak*s.MinFactor
		return from + (to-from)*min(1, float64(step-early.After)/float64(early.Steps))
	}
	if step < s.Warmup {
		return peak * float64(step) / float64(s.Warmup)
	}
	if step >= s.Steps {
		return peak * s.MinFactor
	}
	progress := float64(step-s.Warmup) / float64(s.Steps-s.Warmup)
	return peak * (s.MinFactor + (1-s.MinFactor)*(1+math.Cos(math.Pi*progress))/2)
}
