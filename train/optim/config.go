package optim

import (
	"math"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Config is AdamW's figures, equal for all parameters.
type Config struct {
	Beta1, Beta2 float64
	Epsilon      float64
	ClipNorm     float64 // of the global gradient norm; 0 does not clip
}

// Group is a set of parameters with one learning rate and one weight decay.
type Group struct {
	Names       []string // checkpoint names; the store's variables are layers.VariablePath of them
	WeightDecay float64  // decoupled: multiplies the learning rate
}

// Decays reports whether BLIP-2 decays a parameter of this shape: biases, norms
// and scalars, with at most one axis, are left alone.
func Decays(shape []int) bool { return len(shape) > 1 }

// Groups returns the two groups of named variables that share a learning rate: those
// that [Decays] says to decay, and the rest. The order within each is kept.
func Groups(store *model.Store, names []string, weightDecay float64) [2]Group {
	groups := [2]Group{{WeightDecay: weightDecay}, {}}
	for _, name := range names {
		v := store.GetVariable(layers.VariablePath(name))
		i := 1
		if v == nil || Decays(v.Shape().Dimensions) { // New reports the missing one
			i = 0
		}
		groups[i].Names = append(groups[i].Names, name)
	}
	return groups
}

func (c Config) check() error {
	if c.Beta1 < 0 || c.Beta1 >= 1 || c.Beta2 < 0 || c.Beta2 >= 1 || c.Epsilon <= 0 || c.ClipNorm < 0 {
		return adapters.Errorf(adapters.Invalid, "optimizer %+v, want betas in [0, 1), a positive epsilon and a clip norm that is not negative", c)
	}
	return nil
}

// Rates computes in float64, as PyTorch does, what a step (counted from 1) needs
// beside tensors: per group 1 − lr·decay, per group lr/(1−β1ᵗ), and √(1−β2ᵗ).
func (c Config) Rates(learning, decays []float64, step int) []float32 {
	values := make([]float32, 2*len(learning)+1)
	for i, lr := range learning {
		values[i] = float32(1 - lr*decays[i])
		values[len(learning)+i] = float32(lr / (1 - math.Pow(c.Beta1, float64(step))))
	}
	values[2*len(learning)] = float32(math.Sqrt(1 - math.Pow(c.Beta2, float64(step))))
	return values
}
