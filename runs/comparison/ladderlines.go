package comparison

import (
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/train/cost"
)

// climbLine is the ladder of one combination in JSON.
type climbLine struct {
	Ladder   string     `json:"ladder"`
	Encoder  string     `json:"encoder"`
	LLM      string     `json:"llm"`
	Baseline string     `json:"baseline"`
	Data     []string   `json:"held_out_data"` // the deciding one first
	End      ladder.End `json:"climb,omitempty"`
	Best     *int       `json:"q_budget,omitempty"`
	C        *costLine  `json:"c,omitempty"`
	Missing  int        `json:"next_runs"`
	// Against is the rung that the verdicts compare with; left out if that is Q*.
	Against *againstLine `json:"against,omitempty"`
}

// againstLine is the rung in place of Q* in JSON, and its number of runs.
type againstLine struct {
	ladder.RungName
	Runs int `json:"runs"`
}

// costLine is C in JSON.
type costLine struct {
	Budget  int          `json:"budget"`
	Bound   ladder.Bound `json:"bound"`
	Passes  float64      `json:"language_passes"`
	Seconds *float64     `json:"seconds,omitempty"`
}

// rungLine is a verdict in JSON.
type rungLine struct {
	Encoder    string           `json:"encoder"`
	LLM        string           `json:"llm"`
	Option     string           `json:"option"`
	Budget     int              `json:"budget"`
	Data       string           `json:"held_out_data"`
	Seeds      []uint64         `json:"seeds"`
	Steps      int              `json:"steps"`
	Passes     float64          `json:"language_passes"`
	Counts     *cost.Count      `json:"counts,omitempty"` // of the first seed's run
	Seconds    *float64         `json:"seconds,omitempty"`
	LossBefore *ladder.Interval `json:"held_out_loss_before,omitempty"` // on data.eval, before any step
	ExBefore   *ladder.Interval `json:"exact_match_before,omitempty"`
	Loss       ladder.Interval  `json:"held_out_loss"`
	Exact      ladder.Interval  `json:"exact_match"`
	LessQ      *ladder.Interval `json:"exact_match_less_q,omitempty"`
	ByQ        *ladder.Interval `json:"loss_by_q,omitempty"`
	// Against is the rung that the verdict compares with; left out if that is Q*.
	Against     *ladder.RungName `json:"against,omitempty"`
	LessAgainst *ladder.Interval `json:"exact_match_less_against,omitempty"`
	ByAgainst   *ladder.Interval `json:"loss_by_against,omitempty"`

	Paired     *int         `json:"seeds_paired,omitempty"`
	NotInf     *bool        `json:"not_inferior,omitempty"` // to Q*, or to Against
	Better     *bool        `json:"better,omitempty"`
	OfC        *float64     `json:"of_c_passes,omitempty"`
	OfCSeconds *float64     `json:"of_c_seconds,omitempty"`
	OfCBound   ladder.Bound `json:"of_c_bound,omitempty"`
}

// ladderLines returns the ladders as lines of JSON: for each, its Q* and C, then its verdicts.
func (c *Comparison) ladderLines() (lines []any) {
	for _, j := range c.judged() {
		if j.set == j.Sets[0] {
			lines = append(lines, j.climbLine())
		}
		for _, v := range j.verdicts {
			lines = append(lines, j.rungLine(v))
		}
	}
	return lines
}

func (j judged) climbLine() climbLine {
	line := climbLine{Ladder: j.Matrix, Encoder: j.Encoder, LLM: j.LLM, Baseline: j.Rules.Baseline, Data: j.Sets, End: j.End, Missing: j.Missing}
	if j.Best != nil {
		line.Best = &j.Best.Budget
	}
	if j.C != nil {
		line.C = &costLine{Budget: j.C.Budget, Bound: j.Bound(), Passes: j.C.Passes(), Seconds: j.seconds(*j.C)}
	}
	if j.Against != nil {
		line.Against = &againstLine{j.Against.Name(), len(j.Against.Records)}
	}
	return line
}

// seconds returns the seconds of a rung, or nil if they are not known.
func (j judged) seconds(r ladder.Rung) *float64 {
	if s, ok := j.Seconds(r); ok {
		return &s
	}
	return nil
}

func (j judged) rungLine(v ladder.Verdict) rungLine {
	first := v.Records[0]
	line := rungLine{Encoder: j.Encoder, LLM: j.LLM, Option: v.Option, Budget: v.Budget, Data: j.set, Steps: first.Steps, Counts: first.Counts,
		Loss: v.Loss, Exact: v.Exact, Passes: v.Passes(), Seconds: j.seconds(v.Rung)}
	line.LossBefore, line.ExBefore = v.Before()
	for _, record := range v.Records {
		line.Seeds = append(line.Seeds, record.Seed)
	}
	j.addComparison(&line, v)
	if j.C != nil {
		passes := v.Passes() / j.C.Passes()
		line.OfC, line.OfCBound = &passes, j.Bound().OfC()
		if mine, its := j.seconds(v.Rung), j.seconds(*j.C); mine != nil && its != nil {
			seconds := *mine / *its
			line.OfCSeconds = &seconds
		}
	}
	return line
}

// addComparison adds what compares a rung with Q*, or with the rung in place of it.
func (j judged) addComparison(line *rungLine, v ladder.Verdict) {
	if j.Against != nil {
		line.Against, line.Paired = new(j.Against.Name()), &v.Seeds
	}
	if v.Seeds == 0 {
		return
	}
	line.Paired, line.NotInf, line.Better = &v.Seeds, &v.NotInferior, &v.Better
	if j.Against != nil {
		line.LessAgainst, line.ByAgainst = &v.Difference, &v.Ratio
	} else {
		line.LessQ, line.ByQ = &v.Difference, &v.Ratio
	}
}
