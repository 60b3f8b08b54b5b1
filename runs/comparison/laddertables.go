package comparison

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/runs/report"
)

// judged is a ladder's verdicts on one set of held-out data.
type judged struct {
	Climb
	set      string
	verdicts []ladder.Verdict
}

// judged returns the verdicts of all ladders: for each, the deciding data first.
func (c *Comparison) judged() (all []judged) {
	for _, climb := range c.Climbs {
		for _, set := range climb.Sets {
			all = append(all, judged{climb, set, climb.verdicts[set]})
		}
	}
	return all
}

// LadderTables returns the tables of all ladders: what Q* and C are, the quality over the cost, and
// the cheapest budgets that are not inferior.
func (c *Comparison) LadderTables() (tables []report.Table) {
	if len(c.Climbs) == 0 {
		return nil
	}
	all := c.judged()
	tables = append(tables, climbTable(all))
	for _, j := range all {
		tables = append(tables, j.qualityTable())
	}
	if t := cheapestTable(all); len(t.Rows) > 0 {
		tables = append(tables, t)
	}
	return tables
}

// name names the ladder's frozen models.
func (c Climb) name() string { return combination(c.Encoder, c.LLM) }

// climbTable shows how far each baseline has climbed, and Q* and C.
func climbTable(all []judged) report.Table {
	t := report.Table{Title: "Cost of a cold start",
		Header: []string{"combination", "baseline", "climb", "Q*: budget", "held-out loss", "exact match", "C: budget", "C: passes", "C: seconds", "next runs"}}
	for _, j := range all {
		if j.set != j.Sets[0] {
			continue
		}
		row := []string{j.name(), j.Rules.Baseline, climbText(j.End), "-", "-", "-", "-", "-", "-", strconv.Itoa(j.Missing)}
		for _, v := range j.verdicts {
			if j.Best != nil && v.Option == j.Rules.Baseline && v.Budget == j.Best.Budget {
				copy(row[3:], []string{strconv.Itoa(v.Budget), v.Loss.Text("%.4f"), v.Exact.Text("%.3f")})
			}
		}
		if j.C != nil {
			bound := bounded(j.Bound())
			copy(row[6:], []string{bound + strconv.Itoa(j.C.Budget), bound + count(j.C.Passes()), "-"})
			if s, ok := j.Seconds(*j.C); ok {
				row[8] = bound + fmt.Sprintf("%.0f", s)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func climbText(end ladder.End) string {
	switch end {
	case ladder.Converged:
		return "converged"
	case ladder.Limit:
		return "limit of examples"
	}
	return "not finished"
}

// bounded returns a bound as a prefix of a number.
func bounded(b ladder.Bound) string {
	if b == ladder.Exact {
		return ""
	}
	return string(b) + " "
}

func count(n float64) string { return registry.Count(int64(n)) }

// qualityTable shows the quality of every option and budget beside its cost.
func (j judged) qualityTable() report.Table {
	t := report.Table{Title: "Quality over cost: " + j.name() + " on " + j.set, Header: []string{"option", "budget", "seeds", "passes", "seconds", "of C",
		"held-out loss", "exact match"}}
	if j.Against != nil && len(j.Against.Records) == 0 {
		t.Title += fmt.Sprintf(" (there is no run of %s to compare with)", j.Against.Name())
	}
	t.Header = append(t.Header, j.comparedHeader()...)
	for _, v := range j.verdicts {
		row := []string{v.Option, strconv.Itoa(v.Budget), strconv.Itoa(len(v.Records)), count(v.Passes()), "-", "-", v.Loss.Text("%.4f"), v.Exact.Text("%.3f")}
		if s, ok := j.Seconds(v.Rung); ok {
			row[4] = fmt.Sprintf("%.0f", s)
		}
		if j.C != nil {
			row[5] = bounded(j.Bound().OfC()) + fmt.Sprintf("%.3g", v.Passes()/j.C.Passes())
		}
		t.Rows = append(t.Rows, append(row, j.compared(v)...))
	}
	j.addBefore(&t)
	return t
}

// comparedHeader returns the header of [judged.compared].
func (j judged) comparedHeader() []string {
	if j.Against == nil {
		return []string{"less Q*'s", "loss by Q*'s", "not inferior"}
	}
	name := j.Against.Name().String()
	return []string{"common seeds", "less " + name, "loss by " + name + "'s", "not inferior"}
}

// compared returns the cells that compare a rung with Q* or with another one. The number of common seeds
// stands before them if it is another one.
func (j judged) compared(v ladder.Verdict) (cells []string) {
	if j.Against != nil {
		cells = append(cells, strconv.Itoa(v.Seeds))
	}
	if v.Seeds == 0 {
		return append(cells, "-", "-", "-")
	}
	return append(cells, v.Difference.Text("%+.3f"), v.Ratio.Text("%.2f"), verdictText(v))
}

// addBefore adds what the runs had before any step, on data.eval, if a run measured that.
func (j judged) addBefore(t *report.Table) {
	measured := func(v ladder.Verdict) bool { return v.Records[0].Before != nil }
	if !slices.ContainsFunc(j.verdicts, measured) {
		return
	}
	t.Header = append(t.Header, "loss before any step", "exact match")
	for i, v := range j.verdicts {
		loss, exact := v.Before()
		t.Rows[i] = append(t.Rows[i], optional(loss, "%.4f"), optional(exact, "%.3f"))
	}
}

// optional formats a mean, or "-" if there is none.
func optional(i *ladder.Interval, format string) string {
	if i == nil {
		return "-"
	}
	return i.Text(format)
}

func verdictText(v ladder.Verdict) string {
	switch {
	case v.Better:
		return "better"
	case v.NotInferior:
		return "yes"
	}
	return "no"
}

// cheapest returns, for each swap that has one, the verdict of the lowest budget that is not inferior
// to Q*. If Q* is on a plateau, equally few exact captions show nothing, and the swap must be better.
func (j judged) cheapest() (all []ladder.Verdict) {
	found, plateau := map[string]bool{}, j.onPlateau()
	for _, v := range j.verdicts {
		if v.NotInferior && (v.Better || !plateau) && j.IsSwap(v.Option) && !found[v.Option] {
			found[v.Option] = true
			all = append(all, v)
		}
	}
	return all
}

// onPlateau reports whether the captions of Q*, or of the rung in place of it, leave objects unnamed.
func (j judged) onPlateau() bool {
	_, level := j.level()
	return slices.ContainsFunc(j.verdicts, func(v ladder.Verdict) bool { return v.Name() == level && v.Exact.Mean < j.Rules.Plateau })
}

// cheapestTable shows the cheapest budget of each swap that is not inferior to Q*. It leaves out ladders
// that are compared with another rung.
func cheapestTable(all []judged) report.Table {
	t := report.Table{Title: "Cheapest budget that is not inferior to Q*",
		Header: []string{"combination", "held-out data", "option", "budget", "of C's passes", "of C's seconds", "less Q*'s exact match", "loss by Q*'s"}}
	for _, j := range all {
		if j.C == nil || j.Against != nil {
			continue
		}
		for _, v := range j.cheapest() {
			bound, seconds := bounded(j.Bound().OfC()), "-"
			if s, ok := j.Seconds(v.Rung); ok {
				if c, ok := j.Seconds(*j.C); ok {
					seconds = bound + fmt.Sprintf("%.3g", s/c)
				}
			}
			t.Rows = append(t.Rows, []string{j.name(), j.set, v.Option, strconv.Itoa(v.Budget), bound + fmt.Sprintf("%.3g", v.Passes()/j.C.Passes()),
				seconds, v.Difference.Text("%+.3f"), v.Ratio.Text("%.2f")})
		}
	}
	return t
}
