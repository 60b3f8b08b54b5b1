package recipes

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/memory"
)

// The constants of the estimate. docs/models.md has the formula.
const (
	gpuRate         = 100e12 // operations per second of a data-center GPU in bfloat16
	coreRate        = 40e9   // operations per second of a CPU core with AVX2 in float32
	longestDuration = 100 * 365 * 24 * time.Hour
)

// Estimate holds the memory and the work that a run needs, estimated without weights.
type Estimate struct {
	Memory     int64   // bytes: the peaks of all processes together, see [Recipe.Processes]
	Operations float64 // floating-point operations of all steps
	Examples   int     // in all steps
}

// Counts are the parameters of a recipe's models.
type Counts struct {
	Trainable int           `json:"trainable"`
	Frozen    []FrozenCount `json:"frozen"`
}

// FrozenCount is the number of one frozen model's parameters, or 0 if it is not known
// without the weights.
type FrozenCount struct {
	ID         string `json:"id"`
	Parameters int64  `json:"parameters,omitempty"`
}

// Count counts the parameters of the recipe from the manifests alone. c is the shape of
// the Q-Former.
func (r *Recipe) Count(c qformer.Config, models ...registry.Manifest) Counts {
	counts := Counts{Trainable: r.trainable(c)}
	for _, m := range models {
		counts.Frozen = append(counts.Frozen, FrozenCount{m.ID, m.Parameters})
	}
	return counts
}

// trainable counts the parameters that the recipe's stage trains.
func (r *Recipe) trainable(c qformer.Config) int {
	return qformer.Count(r.Trained(r.withWords(c).Parameters(qformer.Stage(r.Stage))))
}

// withWords returns the shape of the recipe's Q-Former with its words. If the recipe makes a projection
// that speaks in words, the list is taken to have as many as it may have.
func (r *Recipe) withWords(c qformer.Config) qformer.Config {
	if r.Stage == 2 && r.InWords() && c.Words == 0 {
		c.Words, c.Residual = r.Projection.MaxWords(), r.HasResidual()
	}
	return c
}

// Trained returns those of a bridge's parameters that the recipe trains.
func (r *Recipe) Trained(params []qformer.Param) []qformer.Param {
	return slices.DeleteFunc(slices.Clone(params), func(p qformer.Param) bool {
		return r.Swap != nil && r.Swap.FreezeQFormer && !p.Part.OfLanguage() || p.Part == qformer.PartWords && r.wordsLR() == 0
	})
}

// Estimate returns what the run needs with a Q-Former of shape c. A model that no manifest
// describes counts as nothing.
func (r *Resolved) Estimate(c qformer.Config, m Machine) Estimate {
	trainable := r.trainable(c)
	steps := r.Optimizer.Steps
	if r.Swap != nil {
		steps += r.Swap.WarmupSteps
	}
	e := Estimate{Examples: steps * r.Optimizer.Batch, Memory: memory.Total(r.Processes(c, r.VisionModel, r.LanguageModel, m))}
	// The forward pass takes 2 operations per weight and token. Gradients take 4 more for
	// weights and inputs, and 2 more for inputs alone.
	each := 2*float64(r.VisionModel.Parameters)*float64(r.VisionModel.Tokens) + 6*float64(trainable)*float64(c.Queries)
	if r.LanguageModel != nil {
		text := cmp.Or(r.Data.MaxTextTokens, textTokens)
		each += 4 * float64(r.LanguageModel.Parameters) * float64(c.Queries+text)
	}
	e.Operations = each * float64(e.Examples)
	return e
}

// On returns how long the operations take on a GPU and on a number of CPU cores.
func (e Estimate) On(cores int) (gpu, cpu time.Duration) {
	duration := func(rate float64) time.Duration {
		seconds := min(e.Operations/rate, longestDuration.Seconds())
		return time.Duration(seconds * float64(time.Second))
	}
	return duration(gpuRate), duration(coreRate * float64(cores))
}

// Describe returns the estimate as a sentence.
func (e Estimate) Describe(cores int) string {
	gpu, cpu := e.On(cores)
	return fmt.Sprintf("%d examples, about %s of memory, %s on a GPU that keeps up 100 TFLOP/s, %s on %d CPU cores",
		e.Examples, registry.Size(e.Memory), Duration(gpu), Duration(cpu), cores)
}

// Duration returns a duration in one unit: "3 days".
func Duration(d time.Duration) string {
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"years", 365 * 24 * time.Hour}, {"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}} {
		if n := d.Seconds() / u.size.Seconds(); n >= 1.5 {
			return fmt.Sprintf("%.0f %s", n, u.name)
		}
	}
	if d.Seconds() < 1.5 {
		return "1 second"
	}
	return fmt.Sprintf("%.0f seconds", d.Seconds())
}
