package train

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
)

// readAhead gives the features of a phase's pictures. If they are computed live, it reads,
// decodes and encodes the pictures of the next micro-batches while a step computes. What it
// computes ahead is used only if the micro-batch has the pictures that were expected; so a run
// is bit for bit the same without it. Errors of pictures are found again when their step reads
// them.
type readAhead struct {
	session *Session
	phase   Phase
	source  featurecache.Features
	live    featurecache.Live // nil if the features are not computed live
	ctx     context.Context   // of the work ahead
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu      sync.Mutex
	pending map[place]*aheadFeatures
	wait    time.Duration
}

// place names a micro-batch: step n of the phase, micro-batch k.
type place struct{ n, k int }

// aheadFeatures are features that are computed ahead.
type aheadFeatures struct {
	done     chan struct{}
	pictures []int
	features *adapters.Tensor // nil after an error
}

// aheadSteps is how many steps are read ahead. It bounds the memory.
const aheadSteps = 1

func newReadAhead(ctx context.Context, s *Session, phase Phase, source featurecache.Features) (*readAhead, error) {
	a := &readAhead{session: s, phase: phase, source: source, pending: map[place]*aheadFeatures{}}
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	a.live, _ = source.(featurecache.Live)
	if phase.Augment != data.NoAugmentation && a.live == nil {
		a.cancel()
		return nil, notLive(phase.Augment)
	}
	return a, nil
}

// notLive returns the error for an augmentation of features that are computed once.
func notLive(a data.Augmentation) error {
	return adapters.Errorf(adapters.Invalid, "augmentation %q changes the pictures of each step, but their features are cached", string(a)).
		WithRemedy("set run.feature_cache = false and no warm-up, or data.augment = \"none\"")
}

// batch returns the samples of step n, and starts to read the steps after it.
func (a *readAhead) batch(n int) ([]data.Sample, error) {
	began := time.Now()
	batch, err := a.session.batch(a.phase, n)
	a.waitedFor(time.Since(began))
	if err == nil {
		a.startAfter(n)
	}
	return batch, err
}

// features returns the features of a micro-batch's pictures.
func (a *readAhead) features(ctx context.Context, at place, pictures []int) (*adapters.Tensor, error) {
	if a.live == nil {
		return a.source.Features(ctx, pictures)
	}
	a.mu.Lock()
	ready := a.pending[at]
	delete(a.pending, at)
	a.mu.Unlock()
	if ready != nil {
		select {
		case <-ready.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if ready.features != nil && slices.Equal(ready.pictures, pictures) {
			return ready.features, nil
		}
	}
	return a.live.Augmented(ctx, pictures, a.phase.Augment, a.seed(at.n))
}

// seed returns the seed of the augmentation in a step.
func (a *readAhead) seed(n int) uint64 { return seedAt(a.session.Plan.Seed, a.phase.Name, n, -2) }

// startAfter starts to compute the features of the steps after step n.
func (a *readAhead) startAfter(n int) {
	if a.live == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for at := range a.pending { // of steps that were passed, or whose rows have changed
		if at.n < n {
			delete(a.pending, at)
		}
	}
	for next := n + 1; next <= n+aheadSteps && next < a.phase.Schedule.Steps; next++ {
		if a.pending[place{next, 0}] == nil {
			a.startStep(next, a.session.order(a.phase).Indices(next))
		}
	}
}

// startStep starts to compute the features of a step with the given rows. The caller holds mu.
func (a *readAhead) startStep(n int, rows []int) {
	parts := make([]*aheadFeatures, max(1, a.phase.Accumulate))
	for k := range parts {
		parts[k] = &aheadFeatures{done: make(chan struct{})}
		a.pending[place{n, k}] = parts[k]
	}
	a.workers.Go(func() {
		a.compute(n, rows, parts)
		for _, part := range parts {
			select {
			case <-part.done:
			default: // an error ended it before
				close(part.done)
			}
		}
	})
}

// compute computes the features of a step's micro-batches, until an error.
func (a *readAhead) compute(n int, rows []int, parts []*aheadFeatures) {
	d := a.session.Train.Data
	batch, err := a.session.drawBatch(a.phase, n, rows)
	if err != nil {
		return
	}
	spare, err := sparePicture(d, batch)
	if err != nil {
		return
	}
	size := len(batch) / len(parts)
	for k, part := range parts {
		for _, sample := range batch[k*size : (k+1)*size] {
			part.pictures = append(part.pictures, pictureIndices(d, sample)...)
		}
		part.pictures = withSpare(part.pictures, spare)
		if part.features, err = a.live.Augmented(a.ctx, part.pictures, a.phase.Augment, a.seed(n)); err != nil {
			part.features = nil
			return
		}
		close(part.done)
	}
}

// waitedFor adds a time in which a step could not go on, because it waited for data.
func (a *readAhead) waitedFor(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wait += max(0, d)
}

// waited returns the time for which steps have waited since the last call.
func (a *readAhead) waited() (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.wait
	a.wait = 0
	return d, a.live != nil
}

// close ends the work ahead.
func (a *readAhead) close() {
	if a == nil {
		return
	}
	a.cancel()
	a.workers.Wait()
}
