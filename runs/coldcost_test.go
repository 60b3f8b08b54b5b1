package runs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/recipes"
)

// The commands of the demo's measured runs train the demo's swap with the passes that are recorded.
func TestTheDemosColdCost(t *testing.T) {
	c, err := DemoColdCost()
	if err != nil {
		t.Fatal(err)
	}
	now, err := recipes.Load(DemoRecipe)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []CostRun{c.Warm, c.Cold} {
		var sets []string
		words := strings.Fields(run.Command)
		for i, w := range words {
			if w == "--set" {
				sets = append(sets, words[i+1])
			}
		}
		r, err := recipes.Load(DemoRecipe, sets...)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.TotalSteps() * r.Optimizer.Batch; got != run.Passes {
			t.Errorf("%s: %d passes, and %d are recorded", run.Command, got, run.Passes)
		}
		if r.Optimizer.Batch != now.Optimizer.Batch || run.ExactMatch < 0.5 || run.ExactMatch > 1 {
			t.Errorf("%s: batches of %d, want the demo's %d; exact match %v", run.Command, r.Optimizer.Batch, now.Optimizer.Batch, run.ExactMatch)
		}
	}
	if got := now.TotalSteps() * now.Optimizer.Batch; got != c.Warm.Passes {
		t.Errorf("the demo's warm start has %d passes, and %d are recorded", got, c.Warm.Passes)
	}
	for exact, want := range map[float64]string{
		c.Warm.ExactMatch - 0.001: "More than 51,200 language-model passes",
		c.Warm.ExactMatch:         "At most 51,200 language-model passes",
	} {
		c.Cold.ExactMatch = exact
		if got := strings.Join(c.Lines(), "\n"); !strings.Contains(got, want) || !strings.Contains(got, c.Commit) || !strings.Contains(got, c.Cold.Command) ||
			!strings.Contains(got, fmt.Sprintf("%.3f cold", c.Cold.ExactMatch)) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
