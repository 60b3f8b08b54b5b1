package objective

import losses "github.com/modular-bridging/bridge/qformer/objective"

// Representation is stage 1: ITC, ITM and ITG between pictures and captions (BLIP-2,
// section 3.1). It trains the Q-Former without a language model.
func Representation() Objective {
	return Objective{Name: "representation", Stage: 1, Draw: CaptionOrQuestion}
}

// Weights are the weights of stage 1's losses. If all are zero, each loss has weight 1;
// otherwise a loss with weight zero is left out.
type Weights struct {
	ITC, ITM, ITG float64
}

// Losses returns the configuration of the paper's losses with these weights. dec is the
// token that opens a text to be generated ([DEC]).
func (w Weights) Losses(dec int32) losses.Config {
	c := losses.BLIP2()
	c.Begin = int(dec)
	if w != (Weights{}) {
		c.ITC, c.ITM, c.ITG = w.ITC, w.ITM, w.ITG
	}
	return c
}
