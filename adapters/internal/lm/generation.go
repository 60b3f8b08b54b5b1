package lm

import (
	"context"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
)

// generation is a batch of answers that are being generated, with their KV cache on the
// device. Row i·k + j of a step is beam j of answer i.
type generation struct {
	model    *Model
	beams    int // k
	capacity int // of the generated part of the KV cache
	batch    *batch
	answers  []*output
	canceled *cancellations
	emit     func(adapters.Piece) error

	tokens      []int32 // [B·k] that the next step reads
	parents     []int32 // [B·k] rows of the cache that its rows continue
	inputs      []int32 // [B·k] positions of the input
	lengths     *tensors.Tensor
	promptKV    []*tensors.Tensor
	generatedKV []*tensors.Tensor
	steps       int
}

// newGeneration returns the generation of answers with equal numbers of beams, whose soft
// prompts have rows rows.
func (m *Model) newGeneration(answers []*output, rows int, canceled *cancellations, emit func(adapters.Piece) error) *generation {
	g := &generation{model: m, beams: answers[0].search.NumBeams, answers: answers, canceled: canceled, emit: emit}
	sequences := make([]Sequence, len(answers))
	most := 0
	for i, a := range answers {
		sequences[i] = a.sequence
		most = max(most, a.search.MaxNewTokens)
	}
	g.capacity = lengthBucket(most)
	g.batch = pack(sequences, rows, m.c.SpecialTokens.Start)
	return g
}

// run extends the answers until all are complete.
func (g *generation) run(ctx context.Context, prompts *adapters.Tensor) error {
	defer g.free()
	rows := g.batch.batch * g.beams
	g.tokens, g.parents = slices.Repeat([]int32{g.model.c.SpecialTokens.Start}, rows), make([]int32, rows)
	scores, err := g.prefill(prompts)
	for i := range g.parents {
		g.parents[i] = int32(i)
	}
	if err == nil && scores.logits == nil {
		scores, err = g.step()
	}
	for err == nil {
		if err := ctx.Err(); err != nil {
			return canceled(err)
		}
		g.canceled.receive()
		if err := g.extend(scores); err != nil {
			return err
		}
		if err := g.read(); err != nil {
			return err
		}
		if done := g.retire(); done {
			return nil
		}
		scores, err = g.step()
	}
	return err
}

// nextScores are the scores of the next token: logits float32[rows, V] and, with beams, their
// norms float32[rows, 2] ([logNorms]).
type nextScores struct{ logits, norms []float32 }

// extend chooses the next token of every incomplete answer.
func (g *generation) extend(scores nextScores) error {
	k, b := g.beams, g.batch.batch
	n, m := len(scores.logits)/b, len(scores.norms)/b // rows·V, rows·2
	for i, a := range g.answers {
		if a.complete() {
			continue
		}
		if err := a.extend(scores.logits[i*n:(i+1)*n], scores.norms[i*m:(i+1)*m]); err != nil {
			return err
		}
		parents := g.parents[i*k : (i+1)*k]
		a.next(g.tokens[i*k:(i+1)*k], parents)
		for j := range parents {
			parents[j] += int32(i * k)
		}
	}
	return nil
}

// read decodes the answers whose text is needed now, and emits what has become certain: no
// white space that may turn out to be the last, no half of a character, no part of a stop
// text. With beams an answer comes in one piece, at its end.
func (g *generation) read() error {
	var now []*output
	var ids, whole [][]int32 // of each in now: what is certain; of those with scores: all
	for _, a := range g.answers {
		if a.final || !a.complete() && g.emit == nil && len(a.search.Stop) == 0 && !a.search.LogProbs {
			continue
		}
		certain := a.certainIDs()
		if a.search.LogProbs {
			whole = append(whole, certain)
		}
		if !a.complete() {
			certain = g.model.c.Tokenizer.CertainPrefix(certain)
		}
		now, ids = append(now, a), append(ids, certain)
	}
	if len(now) == 0 {
		return nil
	}
	texts, err := g.model.c.Tokenizer.DecodeBatch(append(ids, whole...), true)
	if err != nil {
		return err
	}
	wholeTexts := texts[len(now):]
	for i, a := range now {
		complete := a.complete()
		if a.search.LogProbs {
			a.locate(wholeTexts[0], len(whole[0]), complete)
			wholeTexts, whole = wholeTexts[1:], whole[1:]
		}
		a.read(texts[i], a.search.Stop, complete)
		if err := g.say(a); err != nil {
			return err
		}
	}
	return nil
}

// say emits the piece that has become certain of an answer. The pieces of an answer
// concatenate to its text.
func (g *generation) say(a *output) error {
	if g.emit == nil {
		return nil
	}
	text, from, to, some := a.unsaid()
	if !some {
		return nil
	}
	piece := adapters.Piece{Example: a.example, Text: text}
	if a.search.LogProbs {
		piece.LogProbs = named(g.model.c.Tokenizer, a.scores()[from:to])
	}
	return g.emit(piece)
}

// retire reports whether all answers are complete. If some are, the rows of the complete ones
// read one position of their input from now on: they may go on beyond the positions that the
// model has, while others use more tokens.
func (g *generation) retire() (done bool) {
	done, changed := true, false
	for i, a := range g.answers {
		if !a.final {
			done = false
		} else if row := g.inputs[i*g.beams : (i+1)*g.beams]; row[0] != 1 {
			for j := range row {
				row[j] = 1
			}
			changed = true
		}
	}
	if changed && !done {
		free([]any{g.lengths})
		g.lengths = tensors.FromFlatDataAndDimensions(g.inputs, len(g.inputs))
	}
	return done
}

// prefill reads the input and fills promptKV. It returns the scores of the first token, with one
// row for each example, or none if the first step computes them.
func (g *generation) prefill(prompts *adapters.Tensor) (nextScores, error) {
	b, k := g.batch, g.beams
	for _, n := range b.lengths {
		g.inputs = append(g.inputs, slices.Repeat([]int32{n}, k)...)
	}
	g.lengths = tensors.FromFlatDataAndDimensions(g.inputs, len(g.inputs))
	args := []any{
		tensors.FromFlatDataAndDimensions(b.lengths, b.batch),
		tensors.FromFlatDataAndDimensions(b.ids, b.batch, b.length),
		tensors.FromFlatDataAndDimensions(b.promptRows, b.batch, b.length),
	}
	if b.prompts > 0 {
		p, err := b.uploadPrompts(prompts)
		if err != nil {
			return nextScores{}, err
		}
		args = append(args, p)
	}
	defer free(args)
	out, err := g.model.graphs.run(key{purpose: prefillGraph, shape: b.shape, beams: k},
		func(p layers.Params, in []*Node) []*Node { return g.model.buildPrefill(p, in, k) }, args...)
	if err != nil {
		return nextScores{}, err
	}
	if g.model.c.Spec.Architecture == adapters.EncoderDecoder {
		g.promptKV = out
		return nextScores{}, nil
	}
	scores, rest, err := g.takeScores(out)
	g.promptKV = rest
	return scores, err
}

// takeScores copies the scores that a graph returns first to the host, and returns the other
// results.
func (g *generation) takeScores(out []*tensors.Tensor) (scores nextScores, rest []*tensors.Tensor, err error) {
	rest = out[1:]
	if g.beams > 1 {
		rest = out[2:]
		if scores.norms, err = hosttensor.Float32s(out[1]); err != nil {
			return scores, rest, err
		}
	}
	scores.logits, err = hosttensor.Float32s(out[0])
	return scores, rest, err
}

// buildPrefill builds the graph from lengths, ids, promptRows and, if there are any,
// soft prompts. It returns the scores of the first token, if it has them, and promptKV.
func (m *Model) buildPrefill(p layers.Params, in []*Node, k int) []*Node {
	var prompts *Node
	if len(in) > 3 {
		prompts = in[3]
	}
	prefilled := m.c.Network.Prefill(p, Input{Embeds: embed(m.c.Network, p, in[1], in[2], prompts), Lengths: in[0]})
	var out []*Node
	if prefilled.States != nil {
		out = m.buildScores(p, prefilled.States, k)
	}
	return append(out, prefilled.PromptKV...)
}

// buildScores returns logits float32[rows, V] after states float[rows, W] and, with k > 1 beams,
// their norms.
func (m *Model) buildScores(p layers.Params, states *Node, k int) []*Node {
	logits := ConvertDType(m.c.Network.Logits(p, states), dtypes.Float32)
	if k == 1 {
		return []*Node{logits}
	}
	return []*Node{logits, logNorms(logits)}
}

// logNorms returns what makes log-probabilities of logits float32[R, V]: the highest logit, top,
// and log Σ exp(logit − top), as float32[R, 2].
func logNorms(logits *Node) *Node {
	top := ReduceAndKeep(logits, ReduceMax, -1)
	sum := ReduceAndKeep(Exp(Sub(logits, BroadcastToDims(top, logits.Shape().Dimensions...))), ReduceSum, -1)
	return Concatenate([]*Node{top, Log(sum)}, -1)
}

// step reads one token of each row, extends generatedKV and returns the scores of the next token,
// with B·k rows.
func (g *generation) step() (nextScores, error) {
	m, k := g.model, g.beams
	shape := key{
		purpose: stepGraph, shape: shape{batch: g.batch.batch, length: g.batch.length},
		capacity: g.capacity, beams: k,
	}
	if g.generatedKV == nil {
		c := m.c.Network.Cache()
		for range c.Tensors {
			zeros := tensors.FromShape(shapes.Make(hosttensor.DType(m.c.Spec.DType), len(g.tokens), c.Heads, shape.capacity, c.Dim))
			g.generatedKV = append(g.generatedKV, zeros)
		}
	}
	token := tensors.FromFlatDataAndDimensions(g.tokens, len(g.tokens))
	parents := tensors.FromFlatDataAndDimensions(g.parents, len(g.parents))
	step := tensors.FromScalar(int32(g.steps))
	defer free([]any{token, parents, step})
	args := []any{token, step, g.lengths, parents}
	for _, t := range g.promptKV {
		args = append(args, t)
	}
	for _, t := range g.generatedKV {
		donated, err := DonateTensorBuffer(t, m.c.Backend, 0)
		if err != nil {
			return nextScores{}, adapters.Errorf(adapters.Internal, "KV cache: %w", err)
		}
		args = append(args, donated)
		_ = t.FinalizeAll()
	}
	g.generatedKV = g.generatedKV[:0]
	promptTensors := len(g.promptKV)
	out, err := m.graphs.run(shape, func(p layers.Params, in []*Node) []*Node { return m.buildStep(p, in, promptTensors, k) }, args...)
	if err != nil {
		return nextScores{}, err
	}
	scores, rest, err := g.takeScores(out)
	g.generatedKV = rest
	g.steps++
	return scores, err
}

// buildStep builds the graph from tokens, step, lengths, parents, promptKV (of
// promptTensors tensors) and generatedKV. With beams, each row first takes over its
// parent's row of generatedKV.
func (m *Model) buildStep(p layers.Params, in []*Node, promptTensors, k int) []*Node {
	promptKV, generatedKV := in[4:4+promptTensors], slices.Clone(in[4+promptTensors:])
	for i := range generatedKV {
		if k > 1 {
			generatedKV[i] = Gather(generatedKV[i], InsertAxes(in[3], -1))
		}
	}
	out := m.c.Network.Step(p, StepInput{
		Tokens: in[0], Step: in[1], Lengths: in[2], PromptKV: promptKV, GeneratedKV: generatedKV,
	})
	return append(m.buildScores(p, out.States, k), out.GeneratedKV...)
}

func (g *generation) free() {
	free([]any{g.lengths})
	for _, t := range append(g.promptKV, g.generatedKV...) {
		_ = t.FinalizeAll()
	}
}
