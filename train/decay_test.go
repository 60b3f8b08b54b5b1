package train_test

import (
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// spared says by name what BLIP-2 does not decay: biases, norms, temperature.
func spared(name string) bool {
	return name == "temp" || strings.HasSuffix(name, ".bias") || strings.Contains(strings.ToLower(name), "layernorm")
}

// Decay of norms and biases, or none of matrices, would be another optimizer
// than the paper's. The gradient of a first step knows nothing of the decay, so
// that two first steps differ by rate · decay · weight, where there is decay.
func TestMatricesAndQueriesDecayAlone(t *testing.T) {
	const rate, decay = 1e-2, 0.5
	for _, o := range []objective.Objective{objective.Representation(), objective.PromptCaption()} {
		t.Run(o.Name, func(t *testing.T) {
			lm := fakeLanguage()
			begin := func() *bridge.Bridge {
				if o.Stage == 1 {
					return tiny(t, 0)
				}
				return tinyFor(t, lm, 0)
			}
			after := func(decay float64) map[string]*adapters.Tensor {
				plan, dir := onePhase(o, 1), t.TempDir()
				plan.Phases[0].Schedule.Warmup, plan.Phases[0].Schedule.MinFactor = 0, 1
				plan.Phases[0].Optimizer.LearningRate = map[train.Module]float64{train.QFormer: rate, train.Projection: rate}
				plan.Phases[0].Optimizer.WeightDecay = decay
				if _, err := newSession(t, begin(), lm, plan, dir).Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				return weightsOf(t, dir)
			}
			start := weightsNow(t, begin())
			plain, decayed := after(0), after(decay)
			for name, w := range start {
				share := rate * decay
				if spared(name) {
					share = 0
				}
				for i, v := range w.Float32s() {
					got := float64(plain[name].Float32s()[i] - decayed[name].Float32s()[i])
					if math.Abs(got-share*float64(v)) > 1e-6 {
						t.Errorf("%s: the decay took %g of element %d, want %g", name, got, i, share*float64(v))
						break
					}
				}
			}
		})
	}
}
