package train

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
)

// cachedQueries holds Q-Former outputs [n, Q, D] that were computed once, for a phase
// that trains the projection alone.
type cachedQueries struct{ rows *adapters.Tensor }

// cacheQueries computes the Q-Former's outputs, without dropout, for the first
// pictures of the training set. The rows of pictures that are left out stay zero, because
// they are never drawn.
func cacheQueries(ctx context.Context, s *Session, phase Phase) (*cachedQueries, error) {
	n := min(phase.CachedQueries, s.Train.Data.Len())
	config := s.Bridge.Config()
	c := &cachedQueries{rows: adapters.NewTensor(adapters.Float32, n, config.Queries, config.HiddenSize)}
	task := s.Progress.Start("Q-Former outputs", n, 0)
	defer task.Done()
	const chunk = 64
	for lo := 0; lo < n; lo += chunk {
		hi := min(lo+chunk, n)
		if err := s.Train.Retry(func() error { return s.Train.expected(span(lo, hi)) }); err != nil {
			return nil, err
		}
		rows, features, err := s.Train.Read(ctx, func() ([]int, error) { return s.Train.Usable(span(lo, hi)), nil })
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			continue
		}
		queries, err := s.Bridge.Queries(ctx, features)
		if err != nil {
			return nil, err
		}
		for i, row := range rows {
			copy(c.rows.Row(row).Data, queries.Row(i).Data)
		}
		task.Step(hi, hi-lo, 0)
	}
	return c, nil
}

// Features implements [Features] for the cached rows.
func (c *cachedQueries) Features(_ context.Context, indices []int) (*adapters.Tensor, error) {
	return c.rows.Gather(indices), nil
}
