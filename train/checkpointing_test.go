package train_test

import (
	"math"
	"testing"

	"github.com/modular-bridging/bridge/train/objective"
)

// Gradient checkpointing computes more and changes nothing: not a loss of any step.
func TestCheckpointingTrainsTheSame(t *testing.T) {
	for name, o := range map[string]objective.Objective{"stage 1": objective.Representation(), "stage 2": objective.PromptCaption()} {
		t.Run(name, func(t *testing.T) {
			var losses [2][]float64
			for i, on := range []bool{false, true} {
				dir := t.TempDir()
				s := newSessionFor(t, onePhase(o, 3), dir)
				s.Checkpointing = on
				if _, err := s.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				losses[i] = readMetric(t, dir, "only/loss")
			}
			if len(losses[0]) != 3 || len(losses[1]) != 3 {
				t.Fatalf("losses of %d and %d steps, want 3", len(losses[0]), len(losses[1]))
			}
			for step, want := range losses[0] {
				if got := losses[1][step]; math.Abs(got-want) > 1e-6*math.Abs(want) {
					t.Errorf("step %d: loss %v with checkpointing, %v without", step+1, got, want)
				}
			}
		})
	}
}
