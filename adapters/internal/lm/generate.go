package lm

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Generate continues each example: greedily, with beams or by sampling.
func (m *Model) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if err := req.Check(m.c.Spec); err != nil {
		return nil, err
	}
	search, err := newSearch(m.c.Defaults.over(req.Options), m.c.Spec.Architecture, m.c.SpecialTokens)
	if err != nil {
		return nil, err
	}
	if err := m.acquire(ctx); err != nil {
		return nil, err
	}
	defer m.release()
	layout := m.layout(req.Prompts)
	sequences, err := layout.WithoutTargets(req.Examples)
	if err != nil {
		return nil, err
	}
	if err := m.checkContext(req.Examples, sequences, search.MaxNewTokens-1); err != nil { // the last one is not read
		return nil, err
	}
	streams := make([]uint64, len(sequences))
	if search.Sample {
		if streams, err = randomStreams(sequences, req.Prompts); err != nil {
			return nil, err
		}
	}
	res := &adapters.GenerateResponse{}
	examples := m.generateRows(search.NumBeams)
	for from := 0; from < len(sequences); from += examples {
		chunk := sequences[from:min(from+examples, len(sequences))]
		g := &generation{
			model: m, search: &search, batch: pack(chunk, layout.Rows, m.c.SpecialTokens.Start),
			emitted: make([]string, len(chunk)), first: from, emit: emit,
		}
		for i := range chunk {
			g.answers = append(g.answers, newContinuation(&search, streams[from+i]))
		}
		if err := g.run(ctx, req.Prompts); err != nil {
			return nil, err
		}
		texts, err := g.certainTexts()
		if err != nil {
			return nil, err
		}
		res.Texts = append(res.Texts, texts...)
		for _, a := range g.answers {
			res.Tokens = append(res.Tokens, a.tokens())
		}
	}
	return res, nil
}

// generateRows returns how many examples with k beams to compute at once. A batch of
// that many needs no padding.
func (m *Model) generateRows(k int) int {
	rows, examples := maxRows, maxRows
	if k > 1 {
		rows = maxBeamRows
	}
	for examples > 1 && (examples*k > rows || examples*k*m.c.Spec.Vocabulary > maxLogits) {
		examples /= 2
	}
	return examples
}

// maxBeamRows bounds the beams that are computed at once. They share the KV cache of the input.
const maxBeamRows = 4 * maxRows

// generation is a batch of answers that are being generated, with their KV cache on the
// device. Row i·k + j of a step is beam j of answer i.
type generation struct {
	model   *Model
	search  *search
	batch   *batch
	answers []continuation
	emitted []string
	first   int // index of the first answer in the request
	emit    func(adapters.Piece) error

	tokens      []int32 // [B·k] that the next step reads
	parents     []int32 // [B·k] rows of the cache that its rows continue
	lengths     *tensors.Tensor
	promptKV    []*tensors.Tensor
	generatedKV []*tensors.Tensor
	steps       int
}

// run extends the answers until all are complete.
func (g *generation) run(ctx context.Context, prompts *adapters.Tensor) error {
	defer g.free()
	rows := g.batch.batch * g.search.NumBeams
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
		var done bool
		if done, err = g.extend(scores); err != nil {
			return err
		}
		if err := g.stream(); err != nil {
			return err
		}
		if done {
			return nil
		}
		scores, err = g.step()
	}
	return err
}

// nextScores are the scores of the next token: logits float32[rows, V] and, with beams, their
// norms float32[rows, 2] ([logNorms]).
type nextScores struct{ logits, norms []float32 }

// extend chooses the next token of every incomplete answer and reports whether all
// answers are complete.
func (g *generation) extend(scores nextScores) (bool, error) {
	k, b := g.search.NumBeams, g.batch.batch
	n, m := len(scores.logits)/b, len(scores.norms)/b // rows·V, rows·2
	all := true
	for i, a := range g.answers {
		if a.done() {
			continue
		}
		if err := a.extend(scores.logits[i*n:(i+1)*n], scores.norms[i*m:(i+1)*m]); err != nil {
			return false, err
		}
		parents := g.parents[i*k : (i+1)*k]
		a.next(g.tokens[i*k:(i+1)*k], parents)
		for j := range parents {
			parents[j] += int32(i * k)
		}
		all = all && a.done()
	}
	return all, nil
}

// prefill reads the input and fills promptKV. It returns the scores of the first token, with one
// row for each example, or none if the first step computes them.
func (g *generation) prefill(prompts *adapters.Tensor) (nextScores, error) {
	b, k := g.batch, g.search.NumBeams
	lengths := make([]int32, 0, b.batch*k)
	for _, n := range b.lengths {
		lengths = append(lengths, slices.Repeat([]int32{n}, k)...)
	}
	g.lengths = tensors.FromFlatDataAndDimensions(lengths, len(lengths))
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
	if g.search.NumBeams > 1 {
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
	m, k := g.model, g.search.NumBeams
	shape := key{
		purpose: stepGraph, shape: shape{batch: g.batch.batch, length: g.batch.length},
		capacity: lengthBucket(g.search.MaxNewTokens), beams: k,
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

// certainTexts decodes the part of each answer that later steps cannot change.
func (g *generation) certainTexts() ([]string, error) {
	ids := make([][]int32, len(g.answers))
	for i, a := range g.answers {
		ids[i] = a.certainIDs()
		if !a.done() {
			ids[i] = g.model.c.Tokenizer.CertainPrefix(ids[i])
		}
	}
	texts, err := g.model.c.Tokenizer.DecodeBatch(ids, true)
	for i := range texts {
		texts[i] = strings.TrimFunc(texts[i], isSpace)
	}
	return texts, err
}

// isSpace reports what Python's strip takes for white space, which the reference uses
// to trim: Unicode's white space, and the separators U+001C to U+001F.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// stream emits the text of each answer that has become certain: no white space that may
// turn out to be the last, no half of a character. The pieces of an answer concatenate
// to its text. With beams an answer comes in one piece, at its end.
func (g *generation) stream() error {
	if g.emit == nil {
		return nil
	}
	texts, err := g.certainTexts()
	if err != nil {
		return err
	}
	for i, a := range g.answers {
		text := texts[i]
		if !a.done() {
			text = strings.TrimRight(text, string(utf8.RuneError))
		}
		rest, grew := strings.CutPrefix(text, g.emitted[i])
		if !grew || rest == "" {
			continue
		}
		g.emitted[i] = text
		if err := g.emit(adapters.Piece{Example: g.first + i, Text: rest}); err != nil {
			return err
		}
	}
	return nil
}
