package train

import (
	"context"
	"fmt"
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train/optim"
)

// The fit of words to the soft prompts of a linear projection: AdamW at a rate that falls to
// wordFitEnd of its peak.
const (
	wordFitSteps = 800
	wordFitBatch = 64 // pictures, of fitPictures
	wordFitLeast = 8  // pictures, of few
	wordFitRate  = 2e-3
	wordFitEnd   = 0.1
)

// Names of what a fit of words trains beside the words' scores: a factor and a shift, because
// soft prompts are longer than the embeddings of words and lie beside them.
const (
	wordFitScale = "word_fit_scale"
	wordFitShift = "word_fit_shift"
)

// wordFit fits the words' scores of a bridge to soft prompts. It needs no pass of a language
// model, but the Q-Former's outputs and the soft prompts that a linear projection makes of them.
type wordFit struct {
	bridge *bridge.Bridge // speaks in words, with the embeddings of the old language model
	opt    *optim.AdamW
	step   *model.Exec // queries, prompts → loss, norms, gradients
}

// fitWords fits the words' scores of b, so that a factor times its soft prompts plus a shift
// comes close to prompts float32[B, Q, Dllm] for queries float32[B, Q, D]. It returns the R² of
// the last steps. The factor and the shift are dropped: words keep the size of embeddings.
func fitWords(ctx context.Context, b *bridge.Bridge, queries, prompts *adapters.Tensor, seed uint64) (r2 float64, err error) {
	f := &wordFit{bridge: b}
	defer f.close()
	if err := f.build(prompts); err != nil {
		return 0, fmt.Errorf("fit of words: %w", err)
	}
	rng := rand.New(rand.NewPCG(seed, 0x776f726473)) // "words"
	variance := varianceOf(prompts)
	if !(variance > 0) {
		return 0, adapters.Errorf(adapters.Invalid, "fit of words: the old bridge's soft prompts are the same for all %d pictures", prompts.Shape[0]).
			WithRemedy("take other training data, or another swap.projection")
	}
	const last = wordFitSteps / 10
	schedule := optim.Schedule{Steps: wordFitSteps, MinFactor: wordFitEnd}
	for n := range wordFitSteps {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		rows := make([]int, wordFitBatchOf(queries.Shape[0]))
		for i := range rows {
			rows[i] = rng.IntN(queries.Shape[0])
		}
		loss, err := f.run(schedule.Rate(wordFitRate, n+1), queries.Gather(rows), prompts.Gather(rows))
		if err != nil {
			return 0, fmt.Errorf("fit of words: %w", err)
		}
		if n >= wordFitSteps-last {
			r2 += (1 - loss/variance) / last
		}
	}
	return r2, nil
}

// wordFitBatchOf returns the batch for a number of pictures: fewer if there are few, because a step
// costs as much as its batch is large. No batch has more pictures than there are.
func wordFitBatchOf(pictures int) int {
	return min(pictures, wordFitBatch, max(wordFitLeast, wordFitBatch*pictures/fitPictures))
}

// build makes the variables, the optimizer and the graph of a step.
func (f *wordFit) build(prompts *adapters.Tensor) (err error) {
	store := f.bridge.Store()
	if _, err := store.CreateVariable(qformer.VariablePath(wordFitScale), tensors.FromScalar(float32(1))); err != nil {
		return err
	}
	mean := columnMean(prompts)
	if _, err := store.CreateVariable(qformer.VariablePath(wordFitShift), tensors.FromFlatDataAndDimensions(mean, len(mean))); err != nil {
		return err
	}
	names := []string{wordFitScale, wordFitShift}
	for _, p := range f.bridge.Config().Parameters(qformer.Stage2) {
		if p.Part == qformer.PartLanguage {
			names = append(names, p.Name)
		}
	}
	config := optim.Config{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, ClipNorm: 0}
	if f.opt, err = optim.New(f.bridge.Backend(), store, []optim.Group{{Names: names}}, config); err != nil {
		return err
	}
	f.step, err = model.NewExec(f.bridge.Backend(), store, func(_ *model.Scope, in []*Node) []*Node {
		loss := f.loss(in[0], in[1])
		gradients := Gradient(loss, f.opt.Parameters(in[0].Graph())...)
		return append([]*Node{loss, optim.Norms(gradients)}, gradients...)
	})
	return err
}

// loss builds the mean square difference between the words' soft prompts, scaled and shifted,
// and prompts [B, Q, Dllm].
func (f *wordFit) loss(queries, prompts *Node) *Node {
	g := queries.Graph()
	value := func(name string) *Node {
		return f.bridge.Store().GetVariable(qformer.VariablePath(name)).NodeValue(g)
	}
	said := qformer.New(f.bridge.Config(), f.bridge.Store(), g, nil).Project(queries)
	said = Add(Mul(said, value(wordFitScale)), ExpandLeftToRank(value(wordFitShift), 3))
	return ReduceAllMean(Square(Sub(said, prompts)))
}

// run makes a step at a rate and returns its loss.
func (f *wordFit) run(rate float64, queries, prompts *adapters.Tensor) (float64, error) {
	args := []any{nil, nil}
	for i, t := range []*adapters.Tensor{queries, prompts} {
		d, err := hosttensor.ToDevice(f.bridge.Backend(), t)
		if err != nil {
			return 0, err
		}
		defer d.FinalizeAll()
		args[i] = d
	}
	out, err := f.step.Call(args...)
	if err != nil {
		return 0, err
	}
	defer out[0].FinalizeAll()
	defer out[1].FinalizeAll()
	if _, err := f.opt.Step([]float64{rate}, out[1], out[2:]); err != nil {
		return 0, err
	}
	return float64(tensors.ToScalar[float32](out[0])), nil
}

func (f *wordFit) close() {
	if f.step != nil {
		f.step.Finalize()
	}
	if f.opt != nil {
		f.opt.Close()
	}
	for _, name := range []string{wordFitScale, wordFitShift} {
		_ = f.bridge.Store().DeleteVariable(qformer.VariablePath(name)) // an error means that it was not made
	}
}

// columnMean returns the mean of the vectors along the last axis of a float32 tensor.
func columnMean(t *adapters.Tensor) []float32 {
	d := t.Shape[len(t.Shape)-1]
	sums := make([]float64, d)
	for i, v := range t.Float32s() {
		sums[i%d] += float64(v)
	}
	mean := make([]float32, d)
	for c, s := range sums {
		mean[c] = float32(s * float64(d) / float64(len(t.Float32s())))
	}
	return mean
}

// varianceOf returns the mean square distance of a float32 tensor's elements from the mean of
// their column along the last axis.
func varianceOf(t *adapters.Tensor) float64 {
	mean, sum := columnMean(t), 0.0
	for i, v := range t.Float32s() {
		sum += sq(float64(v - mean[i%len(mean)]))
	}
	return sum / float64(len(t.Float32s()))
}
