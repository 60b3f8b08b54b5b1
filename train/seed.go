package train

import (
	"fmt"
	"hash/fnv"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// rngState returns the state of the random numbers of one micro-batch. It depends
// only on the seed and on the place in the run, so a resumed run draws the same.
func rngState(seed uint64, phase string, step, micro int) (*tensors.Tensor, error) {
	return RNGStateFromSeed(int64(seedAt(seed, phase, step, micro)))
}

// seedAt mixes a run's seed with a place in the run.
func seedAt(seed uint64, phase string, step, micro int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%d/%d", seed, phase, step, micro)
	return h.Sum64()
}
