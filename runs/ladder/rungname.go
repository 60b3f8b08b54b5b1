package ladder

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// RungName names a rung of a ladder. The zero value names none.
type RungName struct {
	Option string `json:"option"`
	// Budget is in steps at the baseline's batch. 0 is the option's highest budget that has a run.
	Budget int `json:"budget,omitempty"`
}

// ParseRungName reads OPTION@BUDGET, or OPTION alone for its highest budget.
func ParseRungName(text string) (RungName, error) {
	n := RungName{Option: text}
	if i := strings.LastIndex(text, "@"); i >= 0 {
		budget, err := strconv.Atoi(text[i+1:])
		if err != nil || budget <= 0 {
			return RungName{}, adapters.Errorf(adapters.Invalid, "%q has the budget %q, want a positive number after @: steps at the baseline's batch", text, text[i+1:]).
				WithRemedy("write OPTION@BUDGET, or OPTION alone for its highest budget")
		}
		n = RungName{text[:i], budget}
	}
	if n.Option == "" {
		return RungName{}, adapters.Errorf(adapters.Invalid, "%q names no option, want OPTION@BUDGET, or OPTION alone for its highest budget", text)
	}
	return n, nil
}

// String returns the text that [ParseRungName] reads.
func (n RungName) String() string {
	if n.Budget == 0 {
		return n.Option
	}
	return fmt.Sprintf("%s@%d", n.Option, n.Budget)
}

// Find returns the rung with a name. If the ladder has no run of it, ok is false, and the rung has the
// name's option and budget and no records.
func (l *Ladder) Find(name RungName) (rung Rung, ok bool) {
	if budgets := budgetsOf(l.rungs[name.Option]); name.Budget == 0 && len(budgets) > 0 {
		name.Budget = slices.Max(budgets)
	}
	if found := l.rungs[name.Option][name.Budget]; found != nil {
		return *found, true
	}
	return Rung{Option: name.Option, Budget: name.Budget}, false
}

// Name returns the rung's name.
func (r Rung) Name() RungName { return RungName{r.Option, r.Budget} }
