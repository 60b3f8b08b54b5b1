package ladder

import (
	"slices"

	"github.com/modular-bridging/bridge/recipes"
)

// Next returns the runs that the results lack, as far as the results say which ones are needed. The
// cheapest come first, so that an interrupted ladder has its low rungs.
func (r *Results) Next() ([]recipes.MatrixRun, error) {
	var missing []recipes.MatrixRun
	for _, encoder := range r.Matrix.Encoders {
		for _, llm := range r.Matrix.LLMs {
			l, err := r.Analyze(encoder, llm)
			if err != nil {
				return nil, err
			}
			for option := range r.Matrix.Options {
				for _, budget := range l.budgets(r.Matrix, option) {
					for _, seed := range r.Matrix.SeedsOf(option) {
						run := recipes.MatrixRun{Encoder: encoder, LLM: llm, Option: option, Budget: budget, Seed: seed}
						if _, ok := r.Find(run); !ok {
							missing = append(missing, run)
						}
					}
				}
			}
		}
	}
	slices.SortFunc(missing, recipes.MatrixRun.CompareCost)
	return missing, nil
}
