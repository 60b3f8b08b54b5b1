package runs

import (
	_ "embed"
	"fmt"

	"github.com/modular-bridging/bridge/internal/stricttoml"
)

// ColdCost says what the demo's cold start needs to catch up with its warm start. Both runs were
// measured beforehand, because a cold start takes too long for a demo.
type ColdCost struct {
	Commit   string  `toml:"commit"` // of bridge that both runs were made with
	Date     string  `toml:"date"`
	Backend  string  `toml:"backend"`
	Captions int     `toml:"captions"` // held-out ones that the exact match is of
	Seeds    int     `toml:"seeds"`
	Warm     CostRun `toml:"warm"`
	Cold     CostRun `toml:"cold"`
}

// CostRun is one of the two runs of a [ColdCost].
type CostRun struct {
	Command    string  `toml:"command"`
	Passes     int     `toml:"passes"` // examples forward and backward through the language model
	ExactMatch float64 `toml:"exact_match"`
	Loss       float64 `toml:"loss"` // nats per token of held-out captions and answers
}

//go:embed coldcost.toml
var coldCost []byte

// DemoColdCost returns the measured cost of the demo's cold start.
func DemoColdCost() (c ColdCost, err error) {
	doc, err := stricttoml.Parse("coldcost.toml", coldCost)
	if err != nil {
		return c, err
	}
	doc.Decode(&c)
	return c, doc.Err()
}

// Lines says how long the cold start has to train, in lines of text: a number of passes, or a bound if it
// did not catch up.
func (c ColdCost) Lines() []string {
	needs := "More than"
	if c.Cold.ExactMatch >= c.Warm.ExactMatch {
		needs = "At most"
	}
	return []string{
		fmt.Sprintf("How long would a cold start have to train to catch up? %s %s language-model passes; this warm start has %s.",
			needs, thousands(int64(c.Cold.Passes)), thousands(int64(c.Warm.Passes))),
		fmt.Sprintf("With these, the exact match was %.3f cold and %.3f warm (%d captions, %d seed, %s, commit %s of %s):",
			c.Cold.ExactMatch, c.Warm.ExactMatch, c.Captions, c.Seeds, c.Backend, c.Commit, c.Date),
		"  " + c.Cold.Command,
	}
}
