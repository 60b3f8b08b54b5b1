package runs

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/train/cost"
)

// counted returns an encoder whose pictures the meter of the run at hand counts.
func (res *resources) counted(e adapters.VisionEncoder) adapters.VisionEncoder {
	return cost.Vision(e, func() *cost.Meter { return res.meter })
}

// enter starts a phase of the run at hand in its meter. It returns a function that ends it.
func (res *resources) enter(phase string) (leave func()) {
	if res.meter == nil {
		return func() {}
	}
	return res.meter.Enter(phase)
}

// countCached calls read, which reads features of rows, and counts those rows as cached that
// were not encoded for it.
func (res *resources) countCached(read func() (rows []int, err error)) error {
	if !res.recipe.Run.FeatureCache || res.meter == nil {
		_, err := read()
		return err
	}
	encoded := func() int64 { return res.meter.Ledger().Total().PicturesEncoded }
	before := encoded()
	rows, err := read()
	if err == nil {
		res.meter.Add(cost.Count{PicturesCached: max(0, int64(len(rows))-(encoded()-before))})
	}
	return err
}
