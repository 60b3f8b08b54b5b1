package recipes

import (
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/objective"
)

// Objective is the table [objective]. It selects the loss that training minimises.
type Objective struct {
	// Name is the name of an objective in package train/objective. Default: "representation"
	// in stage 1, "prompt-caption" in stage 2.
	Name string `toml:"name"`
	// ITC, ITM and ITG are the weights of stage 1's three losses: contrast, matching and
	// generation. Default 1 each; stage 2 has none.
	ITC float64 `toml:"itc,omitzero"`
	ITM float64 `toml:"itm,omitzero"`
	ITG float64 `toml:"itg,omitzero"`
}

func defaultObjective(stage int64) Objective {
	if stage == 1 {
		return Objective{Name: objective.Representation().Name, ITC: 1, ITM: 1, ITG: 1}
	}
	return Objective{Name: objective.PromptCaption().Name}
}

func (r *Recipe) checkObjective() {
	stage := 2
	if r.Stage == 1 {
		stage = 1
	}
	o := r.Objective
	r.oneOf("objective.name", o.Name, objective.Names(stage, "")...)
	for _, loss := range []struct {
		name   string
		weight float64
	}{{"itc", o.ITC}, {"itm", o.ITM}, {"itg", o.ITG}} {
		key := "objective." + loss.name
		r.want(key, stage != 1 || loss.weight > 0, "is %v, want a weight above 0", loss.weight)
		r.want(key, stage == 1 || !r.doc.Has(key), "is given, but it weighs a loss of stage 1")
	}
}

// checkArchitecture checks that the objective fits a language model.
func (r *Resolved) checkArchitecture(m registry.Manifest) {
	if o := r.objective(); m.Architecture != "" {
		r.want("objective.name", o.Fits(m.Architecture), "is %q, which is for %s models, but %s is %s; want %s",
			o.Name, join(o.Architectures, "%s", " and "), m.ID, m.Architecture, join(objective.Names(o.Stage, m.Architecture), "%q", " or "))
	}
}

// join formats each item and joins the results.
func join[T any](items []T, format, separator string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = fmt.Sprintf(format, item)
	}
	return strings.Join(texts, separator)
}

// objective returns the objective that the recipe names. check has verified the name.
func (r *Recipe) objective() objective.Objective {
	o, _ := objective.ByName(r.Objective.Name)
	return o
}

// weights returns the weights of stage 1's losses in the plan.
func (o Objective) weights() objective.Weights {
	return objective.Weights{ITC: o.ITC, ITM: o.ITM, ITG: o.ITG}
}
