package optim

import (
	"math"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Config holds AdamW's settings, which all parameters share.
type Config struct {
	Beta1, Beta2 float64
	Epsilon      float64
	WeightDecay  float64 // of groups that decay; decoupled: it multiplies the learning rate
	ClipNorm     float64 // of the global gradient norm; 0 does not clip
}

// Group is a set of parameters with one learning rate.
type Group struct {
	Names []string // checkpoint names; the store's variables are layers.VariablePath of them
	Decay bool     // whether Config.WeightDecay applies
}

// Decays reports whether BLIP-2 decays a parameter of this shape. Biases, norms and
// scalars, which have at most one axis, do not decay.
func Decays(shape []int) bool { return len(shape) > 1 }

// Groups splits named variables into a group that decays and one that does not, as
// [Decays] says. It keeps the order within each.
func Groups(store *model.Store, names []string) [2]Group {
	groups := [2]Group{{Decay: true}, {}}
	for _, name := range names {
		v := store.GetVariable(layers.VariablePath(name))
		i := 1
		if v == nil || Decays(v.Shape().Dimensions) { // New reports a variable that does not exist
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

// Rates computes the numbers that a step (counted from 1) needs beside tensors, in
// float64 as PyTorch does: 1 − lr·decay for each group, lr/(1−β1ᵗ) for each group, and
// √(1−β2ᵗ). decays has a weight decay for each group.
func (c Config) Rates(learning, decays []float64, step int) []float32 {
	values := make([]float32, 2*len(learning)+1)
	for i, lr := range learning {
		values[i] = float32(1 - lr*decays[i])
		values[len(learning)+i] = float32(lr / (1 - math.Pow(c.Beta1, float64(step))))
	}
	values[2*len(learning)] = float32(math.Sqrt(1 - math.Pow(c.Beta2, float64(step))))
	return values
}
