package optim

import (
	"math"
	"runtime"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
)

// scalars are the numbers of a step that [Config.next] has as nodes: the factor of clipping (1 for none),
// 1 − lr·decay, lr/(1−β1ᵗ) and √(1−β2ᵗ).
type scalars struct {
	clip, keep, size, correction float32
	config                       Config
}

// pieceElements is the number of elements of a parameter that a goroutine updates at a time.
const pieceElements = 1 << 17

// canUpdateInPlace reports whether the backend's memory is that of the process, which may change it. Then
// [AdamW.Step] takes no memory for new values and moments. XLA writes each result to new pages, which the
// system has to clear: on a CPU that takes longer than the update.
func canUpdateInPlace(b compute.Backend) bool { return b.HasSharedBuffers() }

// updateInPlace steps all parameters, and frees each gradient when it is applied.
func (o *AdamW) updateInPlace(norm float32, rates []float32, gradients []*tensors.Tensor) error {
	for i, p := range o.parameters {
		s := scalars{
			clip: o.config.clipping(norm), keep: rates[p.group], size: rates[len(o.groups)+p.group], correction: rates[2*len(o.groups)],
			config: o.config,
		}
		gradient, err := o.floats(gradients[i])
		if err != nil {
			return err
		}
		var parts [3][]float32
		for k, v := range []*model.Variable{p.value, p.m, p.v} {
			t, err := v.Value()
			if err != nil {
				return err
			}
			if parts[k], err = o.floats(t); err != nil {
				return err
			}
		}
		s.updateAll(parts[0], gradient, parts[1], parts[2])
		gradients[i].FinalizeAll()
	}
	return nil
}

// floats returns the memory of a float32 tensor on the device. The tensor keeps no copy of it elsewhere.
func (o *AdamW) floats(t *tensors.Tensor) ([]float32, error) {
	if err := t.ToDevice(o.backend, 0); err != nil {
		return nil, err
	}
	buffer, err := t.Buffer(o.backend, 0)
	if err != nil {
		return nil, err
	}
	flat, err := buffer.Data()
	if err != nil {
		return nil, err
	}
	values, ok := flat.([]float32)
	if !ok {
		return nil, adapters.Errorf(adapters.Internal, "the device has %T for a tensor %s", flat, t.Shape())
	}
	return values, nil
}

// clipping returns the factor of [Config.clipFactor].
func (c Config) clipping(norm float32) float32 {
	if c.ClipNorm == 0 {
		return 1
	}
	return min(float32(c.ClipNorm)/(norm+1e-6), 1)
}

// updateAll updates a parameter and its moments, on all processors if it is large.
func (s scalars) updateAll(value, gradient, m, v []float32) {
	var wait sync.WaitGroup
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for from := 0; from < len(value); from += pieceElements {
		to := min(from+pieceElements, len(value))
		limit <- struct{}{}
		wait.Go(func() {
			s.update(value[from:to], gradient[from:to], m[from:to], v[from:to])
			<-limit
		})
	}
	wait.Wait()
}

// update does the arithmetic of [Config.next] in the same order. Every result is rounded to float32.
func (s scalars) update(value, gradient, m, v []float32) {
	done := s.updateVectors(value, gradient, m, v)
	c := s.config
	b1, r1, b2, r2, epsilon := float32(c.Beta1), float32(1-c.Beta1), float32(c.Beta2), float32(1-c.Beta2), float32(c.Epsilon)
	for i := done; i < len(value); i++ {
		g := float32(gradient[i]*s.clip) + idle
		m[i] = float32(m[i]*b1) + float32(g*r1)
		v[i] = float32(v[i]*b2) + float32(float32(g*g)*r2)
		denominator := float32(float32(math.Sqrt(float64(v[i])))/s.correction) + epsilon
		value[i] = float32(value[i]*s.keep) - float32(float32(m[i]/denominator)*s.size)
	}
}
