package comparison

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/workspace"
)

// checkAgainst checks that a ladder has the option of o.Against: one of the matrices among the arguments,
// or one of the results. Which budgets there will be is not known before the runs are trained:
// [Comparison.checkAgainst] checks that.
func (o Options) checkAgainst(args []string, recorded []*ladder.Results) error {
	if o.Against == (ladder.RungName{}) {
		return nil
	}
	options := map[string]bool{}
	add := func(m *recipes.Matrix) {
		for name := range m.Options {
			options[name] = true
		}
	}
	for _, results := range recorded {
		add(results.Matrix)
	}
	for _, arg := range args {
		if !recipes.IsMatrix(arg) {
			continue
		}
		m, err := recipes.LoadMatrix(arg)
		if err != nil {
			return err
		}
		if m.Ladder != nil {
			add(m)
		}
	}
	if _, err := os.Stat(o.Results); err == nil { // it may have further options
		results, err := ladder.Read(o.Results)
		if err != nil {
			return err
		}
		add(results.Matrix)
	}
	names := slices.Sorted(maps.Keys(options))
	switch {
	case len(names) == 0:
		return workspace.OptionErrorf("--against %s needs a matrix with a table [ladder] or a file *%s", o.Against, ladder.Extension)
	case !options[o.Against.Option]:
		return workspace.OptionErrorf("--against %s: there is no option %s%s (the options are %s)",
			o.Against, o.Against.Option, didyoumean.Hint(o.Against.Option, names), strings.Join(names, ", "))
	}
	return nil
}

// checkAgainst returns an error if no ladder has a run of the rung to compare with. It says which runs
// there are.
func (c *Comparison) checkAgainst() error {
	found := slices.ContainsFunc(c.Climbs, func(climb Climb) bool { return climb.Against != nil && len(climb.Against.Records) > 0 })
	if c.against == (ladder.RungName{}) || found || c.Empty() {
		return nil
	}
	if len(c.Climbs) == 0 {
		return workspace.OptionErrorf("--against %s: no ladder has a finished run", c.against)
	}
	var there []string
	for _, j := range c.judged() {
		if j.set == j.Sets[0] {
			there = append(there, j.name()+" has "+j.runsLike(c.against))
		}
	}
	return workspace.OptionErrorf("--against %s: there is no such run; %s", c.against, strings.Join(there, "; "))
}

// runsLike lists the rungs of an option, or all options that have a run if it has none.
func (j judged) runsLike(name ladder.RungName) string {
	var rungs []string
	for _, v := range j.verdicts {
		if v.Option == name.Option {
			rungs = append(rungs, v.Name().String())
		}
	}
	if len(rungs) == 0 {
		return "runs of " + strings.Join(j.options(), ", ")
	}
	return strings.Join(rungs, ", ")
}

// againstSentence says that the ladder is compared with another rung than Q*, and warns if the rung is on a
// plateau.
func (j judged) againstSentence() string {
	if len(j.Against.Records) == 0 {
		return fmt.Sprintf("%s: there is no run of %s, so nothing is compared.", j.name(), j.Against.Name())
	}
	s := fmt.Sprintf("%s: exact match and loss are compared with those of %s (%s passes) in place of Q*, over the common seeds.",
		j.name(), j.Against.Name(), count(j.Against.Passes()))
	if j.onPlateau() {
		s += fmt.Sprintf(" Its exact match is below %v, so \"yes\" shows nothing, and only \"better\" counts.", j.Rules.Plateau)
	}
	return s
}
