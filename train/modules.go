package train

import (
	"fmt"
	"hash/fnv"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train/optim"
)

// names lists the parameters of a module that the bridge has, in a fixed order.
func (m Module) names(b *bridge.Bridge) []string {
	var names []string
	for _, p := range b.Config().Parameters(b.Stage()) {
		if (p.Part == qformer.PartLanguage) == (m == Projection) {
			names = append(names, p.Name)
		}
	}
	return names
}

// rates is the learning-rate schedules of an optimizer's groups.
type rates []optim.Schedule

// at returns the rate of every group at step n, counted from 0.
func (r rates) at(n int) []float64 {
	out := make([]float64, len(r))
	for i, s := range r {
		out[i] = s.Rate(n + 1)
	}
	return out
}

// newOptimizer makes the optimizer of a stage: two groups a module, decayed and
// not.
func newOptimizer(b *bridge.Bridge, st Stage) (*optim.AdamW, rates, error) {
	var groups []optim.Group
	var schedules rates
	for _, m := range st.Train {
		if _, ok := st.Optimizer.LearningRate[m]; !ok {
			return nil, nil, fmt.Errorf("stage %s trains %s but names no learning rate for it", st.Name, m)
		}
		names := m.names(b)
		if len(names) == 0 {
			return nil, nil, fmt.Errorf("stage %s trains %s, which a bridge of stage %d does not have", st.Name, m, b.Info.Stage)
		}
		for _, g := range optim.Groups(b.Store(), names, st.Optimizer.WeightDecay) {
			groups = append(groups, g)
			schedules = append(schedules, schedule(st, m))
		}
	}
	o := st.Optimizer
	opt, err := optim.New(b.Backend(), b.Store(), groups, optim.Config{Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon, ClipNorm: o.ClipNorm})
	return opt, schedules, err
}

// schedule returns the learning rates of a module.
func schedule(st Stage, m Module) optim.Schedule {
	return optim.Schedule{
		Peak: st.Optimizer.LearningRate[m], Steps: st.Schedule.Steps, Warmup: st.Schedule.Warmup, MinFactor: st.Schedule.MinFactor,
	}
}

// rngState returns the state of the random numbers of one micro-batch: a
// function of its place in the run, so that a resumed run draws the same.
func rngState(seed uint64, stage string, step, micro int) (*tensors.Tensor, error) {
	return RNGStateFromSeed(int64(placeSeed(seed, stage, step, micro)))
}

// placeSeed mixes a run's seed with a place in the run.
func placeSeed(seed uint64, stage string, step, micro int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%d/%d", seed, stage, step, micro)
	return h.Sum64()
}
