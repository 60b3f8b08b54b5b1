package train

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
)

// cachedQueries serves Q-Former outputs [n, Q, D] that were computed once, for
// a stage that trains nothing before them.
type cachedQueries struct{ rows *adapters.Tensor }

// cacheQueries computes the Q-Former's outputs of the stage's first pictures,
// without dropout.
func cacheQueries(ctx context.Context, s *Session, st Stage) (*cachedQueries, error) {
	n := min(st.CachedQueries, s.Train.Data.Len())
	config := s.Bridge.Config()
	c := &cachedQueries{rows: adapters.NewTensor(adapters.Float32, n, config.Queries, config.HiddenSize)}
	task := s.Progress.Start("Q-Former outputs", n, 0)
	defer task.Done()
	const chunk = 64
	for lo := 0; lo < n; lo += chunk {
		hi := min(lo+chunk, n)
		features, err := s.Train.Features.Features(ctx, span(lo, hi))
		if err != nil {
			return nil, err
		}
		queries, err := s.Bridge.Queries(ctx, features)
		if err != nil {
			return nil, err
		}
		copy(c.rows.Slice(lo, hi).Data, queries.Data)
		task.Step(hi, hi-lo, 0)
	}
	return c, nil
}

// Features implements [Features] for the cached rows.
func (c *cachedQueries) Features(_ context.Context, indices []int) (*adapters.Tensor, error) {
	return c.rows.Gather(indices), nil
}

// span returns lo, lo+1, …, hi−1.
func span(lo, hi int) []int {
	rows := make([]int, hi-lo)
	for i := range rows {
		rows[i] = lo + i
	}
	return rows
}
