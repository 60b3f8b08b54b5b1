package recipes

import (
	"cmp"
	"math"

	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/optim"
)

// Optimizer is the table [optimizer]: AdamW, the batch, and the schedule of the learning
// rate, which is a linear warm-up to the peak and then a cosine down to MinFactor of it.
type Optimizer struct {
	// LR is the peak learning rate. Required.
	LR float64 `toml:"lr"`
	// QFormerLR is the peak of the Q-Former alone. Default 0: LR.
	QFormerLR float64 `toml:"qformer_lr,omitzero"`
	// ProjectionLR is the peak of the projection alone; stage 2 only. Of a projection that speaks
	// in words it is the peak of the words' scores. Default 0: LR.
	ProjectionLR float64 `toml:"projection_lr,omitzero"`
	// WordsLR is the peak of the words' soft prompts ([Projection]), relative to the root mean
	// square of the language model's token embeddings: with 0.02 a step changes a number by up
	// to 2 % of that. 0 does not train the soft prompts: they are the embeddings of words to
	// the end. Default 0.02 in a swap, times the square root of Batch/16 in smaller batches; otherwise 0,
	// so that the bridge says words that another language model understands.
	WordsLR *float64 `toml:"words_lr"`
	// ResidualLR is the peak of the linear map beside words, relative to the same. Rates above
	// are absolute. Default 0.003, times the square root of Batch/16 in smaller batches.
	ResidualLR float64 `toml:"residual_lr,omitzero"`
	// Betas are the decay rates of the two moments. Default [0.9, 0.98].
	Betas [2]float64 `toml:"betas"`
	// Eps is added to the root of the second moment. Default 1e-8.
	Eps float64 `toml:"eps"`
	// WeightDecay is decoupled from the gradient; parameters with one axis are not
	// decayed. Default 0.05.
	WeightDecay float64 `toml:"weight_decay"`
	// ClipNorm is the largest norm of the gradient of all parameters. 0 does not clip.
	// Default 1.
	ClipNorm float64 `toml:"clip_norm"`
	// Warmup is the number of steps up to the peak, of Steps. Default 0.
	Warmup int `toml:"warmup"`
	// Steps is the number of optimizer steps. Required.
	Steps int `toml:"steps"`
	// MinFactor is the fraction of the peak that the schedule ends with. Default 0.
	MinFactor float64 `toml:"min_factor"`
	// Batch is the number of examples of a step. Required.
	Batch int `toml:"batch"`
	// Accumulate is the number of micro-batches that a batch is computed in, a divisor of
	// Batch; 1 in stage 1. Default 1.
	Accumulate int `toml:"accumulate"`
}

func defaultOptimizer() Optimizer {
	return Optimizer{Betas: [2]float64{0.9, 0.98}, Eps: 1e-8, WeightDecay: 0.05, ClipNorm: 1, Accumulate: 1}
}

func (r *Recipe) checkOptimizer() {
	o := r.Optimizer
	r.learningRate("optimizer.lr", o.LR, false)
	r.learningRate("optimizer.qformer_lr", o.QFormerLR, true)
	r.learningRate("optimizer.projection_lr", o.ProjectionLR, true)
	r.learningRate("optimizer.residual_lr", o.ResidualLR, true)
	if o.WordsLR != nil {
		r.learningRate("optimizer.words_lr", *o.WordsLR, true)
		r.want("optimizer.words_lr", r.Stage != 1, "is given, but stage 1 has no projection to a language model")
		r.want("optimizer.words_lr", *o.WordsLR == 0 || r.Projection.Kind != ProjectionLinear, "is %v, but projection.kind is %q", *o.WordsLR, ProjectionLinear)
	}
	for _, b := range o.Betas {
		r.want("optimizer.betas", b >= 0 && b < 1, "is %v, want two numbers of at least 0 and less than 1", o.Betas)
	}
	r.want("optimizer.eps", o.Eps > 0 && o.Eps < 1, "is %v, want a small number above 0, such as 1e-8", o.Eps)
	r.want("optimizer.weight_decay", o.WeightDecay >= 0 && o.WeightDecay < 1, "is %v, want at least 0 and less than 1", o.WeightDecay)
	r.want("optimizer.clip_norm", o.ClipNorm >= 0, "is %v, want a norm, or 0 for no clipping", o.ClipNorm)
	r.want("optimizer.steps", o.Steps > 0, "is %d, want a positive number of optimizer steps", o.Steps)
	r.want("optimizer.warmup", o.Warmup >= 0 && o.Warmup <= max(o.Steps, 0),
		"is %d, want between 0 and optimizer.steps, %d", o.Warmup, o.Steps)
	r.fraction("optimizer.min_factor", o.MinFactor)
	r.want("optimizer.batch", o.Batch > 0, "is %d, want a positive number of examples", o.Batch)
	r.want("optimizer.accumulate", o.Accumulate > 0 && o.Batch%max(o.Accumulate, 1) == 0,
		"is %d, want a divisor of optimizer.batch, %d", o.Accumulate, o.Batch)
	if r.Stage == 1 {
		r.want("optimizer.batch", o.Batch != 1, "is 1, want at least 2: ITC and ITM need other pictures to compare with")
		r.want("optimizer.accumulate", o.Accumulate <= 1, "is %d, want 1: ITC compares the pictures of a whole batch", o.Accumulate)
		r.want("optimizer.projection_lr", o.ProjectionLR == 0, "is given, but stage 1 has no projection to a language model")
	}
}

// schedule returns the plan's schedule of the learning rate.
func (o Optimizer) schedule() optim.Schedule {
	return optim.Schedule{Steps: o.Steps, Warmup: o.Warmup, MinFactor: o.MinFactor}
}

// rates returns the peak learning rates of the modules that a stage trains.
func (o Optimizer) rates(stage int) map[train.Module]float64 {
	rates := map[train.Module]float64{train.QFormer: cmp.Or(o.QFormerLR, o.LR)}
	if stage == 2 {
		rates[train.Projection] = cmp.Or(o.ProjectionLR, o.LR)
	}
	return rates
}

// The defaults of [Optimizer.WordsLR] in a swap and of [Optimizer.ResidualLR], for batches of relativeBatch and more.
const (
	swapWordsLR   = 0.02
	residualLR    = 0.003
	relativeBatch = 16
)

// relativeRate returns a default for a smaller batch: its gradients are noisier, so it gets the square root of the
// batch's share.
func (o Optimizer) relativeRate(rate float64) float64 {
	return rate * math.Sqrt(min(1, float64(o.Batch)/relativeBatch))
}

// wordsLR returns the relative peak rate of the words' soft prompts; 0 if they are not trained.
func (r *Recipe) wordsLR() float64 {
	switch {
	case r.Optimizer.WordsLR != nil:
		return *r.Optimizer.WordsLR
	case r.Swap != nil && r.InWords():
		return r.Optimizer.relativeRate(swapWordsLR)
	}
	return 0
}

// adamW returns the plan's optimizer with the given peak learning rates.
func (r *Recipe) adamW(rates map[train.Module]float64) train.Optimizer {
	o := r.Optimizer
	out := train.Optimizer{LearningRate: rates, Config: optim.Config{
		Beta1: o.Betas[0], Beta2: o.Betas[1], Epsilon: o.Eps, WeightDecay: o.WeightDecay, ClipNorm: o.ClipNorm,
	}}
	out.Words = r.wordsLR()
	if r.InWords() && r.HasResidual() {
		out.Residual = cmp.Or(o.ResidualLR, o.relativeRate(residualLR))
	}
	return out
}
