package objective

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
)

// Objective says what a phase of training minimises.
type Objective struct {
	// Name stands for the objective in recipes and in checkpoints.
	Name string
	// Stage is the stage of BLIP-2's training: 1 trains the Q-Former alone, on pictures
	// and captions; 2 trains the bridge through a frozen language model.
	Stage int
	// Architectures are those of the language models that the objective fits. Empty
	// means that it fits all of them.
	Architectures []adapters.Architecture
	// Draw draws a sample from a record. All randomness comes from rng, so that a
	// resumed run draws the same. The caller sets the sample's Index.
	Draw func(rng *rand.Rand, record data.Record, mix Mix) data.Sample
	// Example returns the example whose loss trains the bridge: the sample's text, about
	// soft prompt i. Stage 2 only.
	Example func(templates bridge.Templates, i int, sample data.Sample) adapters.Example
	// EvalExample returns the example by which an evaluation measures the loss of a
	// caption, about soft prompt i. Stage 2 only.
	EvalExample func(templates bridge.Templates, i int, caption string) adapters.Example
}

// All returns the objectives that recipes can name.
func All() []Objective {
	return []Objective{
		Representation(),
		PromptCaption(),
		LanguageModeling(),
		PrefixLM(),
	}
}

// ByName returns the objective of [All] with a name.
func ByName(name string) (Objective, bool) {
	all := All()
	i := slices.IndexFunc(all, func(o Objective) bool { return o.Name == name })
	if i < 0 {
		return Objective{}, false
	}
	return all[i], true
}

// Names returns the names of the objectives in [All] that belong to a stage and fit a
// language model's architecture. An empty architecture means any.
func Names(stage int, architecture adapters.Architecture) []string {
	var names []string
	for _, o := range All() {
		if o.Stage == stage && (architecture == "" || o.Fits(architecture)) {
			names = append(names, o.Name)
		}
	}
	return names
}

// Fits reports whether the objective can train through language models of an
// architecture.
func (o Objective) Fits(architecture adapters.Architecture) bool {
	return len(o.Architectures) == 0 || slices.Contains(o.Architectures, architecture)
}

// For returns the objective that takes the place of o for a language model of another
// architecture: o itself if it fits, or else the first one of [All] that is of the same
// stage and was made for that architecture.
func (o Objective) For(architecture adapters.Architecture) Objective {
	if o.Fits(architecture) {
		return o
	}
	for _, other := range All() {
		if other.Stage == o.Stage && slices.Contains(other.Architectures, architecture) {
			return other
		}
	}
	return o
}

// Check returns an error if a field is missing.
func (o Objective) Check() error {
	switch {
	case o.Name == "":
		return fmt.Errorf("the objective has no name")
	case o.Stage != 1 && o.Stage != 2:
		return fmt.Errorf("objective %s: the stage is %d, want 1 or 2", o.Name, o.Stage)
	case o.Draw == nil:
		return fmt.Errorf("objective %s has no function Draw", o.Name)
	case o.Stage == 2 && (o.Example == nil || o.EvalExample == nil):
		return fmt.Errorf("objective %s is of stage 2 and has no function Example or EvalExample", o.Name)
	}
	return nil
}

// String returns the objective's name.
func (o Objective) String() string { return o.Name }

// MarshalText returns the objective's name: plans in checkpoints hold no more of it.
func (o Objective) MarshalText() ([]byte, error) { return []byte(o.Name), nil }

// UnmarshalText sets the objective's name alone: a plan in a checkpoint is compared with
// the plan of the run that resumes, and never run.
func (o *Objective) UnmarshalText(text []byte) error {
	*o = Objective{Name: string(text)}
	return nil
}
