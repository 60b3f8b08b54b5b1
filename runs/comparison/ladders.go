package comparison

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/runs/ladder"
)

// Climb is the ladder of one combination of frozen models of a matrix.
type Climb struct {
	*ladder.Ladder
	Matrix  string // its name
	Missing int    // number of runs that the ladder needs next, or that failed
	// Against is the rung that the verdicts compare with in place of Q*. Nil: Q*. It has no records if
	// this combination has no run of it.
	Against *ladder.Rung

	verdicts map[string][]ladder.Verdict // by held-out data
}

// addResults adds the ladders of results.
func (c *Comparison) addResults(r *ladder.Results) error {
	missing, err := r.Next()
	if err != nil {
		return err
	}
	for _, encoder := range r.Matrix.Encoders {
		for _, llm := range r.Matrix.LLMs {
			l, err := r.Analyze(encoder, llm)
			if err != nil {
				return err
			}
			climb := Climb{Ladder: l, Matrix: r.Matrix.Name}
			for _, run := range missing {
				if run.Encoder == encoder && run.LLM == llm {
					climb.Missing++
				}
			}
			if err := climb.judge(c.against); err != nil {
				return err
			}
			if len(l.Sets) > 0 {
				c.Climbs = append(c.Climbs, climb)
			}
		}
	}
	return nil
}

// judge sets the verdicts, which compare with a rung; with Q* if its name is zero.
func (c *Climb) judge(against ladder.RungName) (err error) {
	verdicts := c.Verdicts
	if against != (ladder.RungName{}) {
		rung, _ := c.Find(against)
		c.Against = &rung
		verdicts = func(set string) ([]ladder.Verdict, error) { return c.VerdictsAgainst(set, rung) }
	}
	c.verdicts = map[string][]ladder.Verdict{}
	for _, set := range c.Sets {
		if c.verdicts[set], err = verdicts(set); err != nil {
			return err
		}
	}
	return nil
}

// readFiles reads files of results, and merges those of one matrix.
func readFiles(paths []string) (all []*ladder.Results, err error) {
	byName := map[string]*ladder.Results{}
	for _, path := range paths {
		r, err := ladder.Read(path)
		if err != nil {
			return nil, err
		}
		first := byName[r.Matrix.Name]
		if first == nil {
			byName[r.Matrix.Name] = r
			all = append(all, r)
			continue
		}
		if err := first.Merge(r); err != nil {
			return nil, adapters.Errorf(adapters.KindOf(err), "%s: %w", path, err)
		}
	}
	return all, nil
}
