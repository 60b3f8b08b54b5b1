package train_test

import (
	"math"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// Steps in bfloat16 round what they compute, and nothing that they keep: the losses are near those
// of float32 and not equal, and the weights are float32.
func TestStepsInBFloat16(t *testing.T) {
	for name, plan := range map[string]train.Plan{
		"stage 1": onePhase(objective.Representation(), 6),
		"stage 2": onePhase(objective.PromptCaption(), 6),
	} {
		t.Run(name, func(t *testing.T) {
			losses := func(compute adapters.DType) []float64 {
				plan, dir := plan, t.TempDir()
				plan.Compute = compute
				if _, err := newSessionFor(t, plan, dir).Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				for name, w := range weightsOf(t, dir) {
					if w.DType != adapters.Float32 {
						t.Errorf("%s is %s after steps in %s, want float32", name, w.DType, compute)
					}
				}
				return readMetric(t, dir, "only/loss")
			}
			exact, rounded := losses(adapters.Float32), losses(adapters.BFloat16)
			equal := true
			for i, want := range exact {
				equal = equal && rounded[i] == want
				if off := math.Abs(rounded[i]-want) / want; !(off < 0.02) {
					t.Errorf("step %d: the loss is %g, in float32 %g", i+1, rounded[i], want)
				}
			}
			if equal {
				t.Error("the losses equal those of float32: nothing was computed in bfloat16")
			}
		})
	}
}
