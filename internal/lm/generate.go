package lm

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Generate continues each example, greedily or by sampling.
func (m *Model) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if err := req.Check(m.c.Spec); err != nil {
		return nil, err
	}
	search, err := newSearch(req.Options, m.c.Rules)
	if err != nil {
		return nil, err
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.end()
	layout := m.layout(req.Prompts)
	sequences, err := layout.Open(req.Examples)
	if err != nil {
		return nil, err
	}
	if err := m.checkContext(sequences, search.MaxNewTokens); err != nil {
		return nil, err
	}
	res := &adapters.GenerateResponse{}
	for from := 0; from < len(sequences); from += maxRows {
		chunk := sequences[from:min(from+maxRows, len(sequences))]
		answers := make([]*answer, len(chunk))
		for i := range chunk {
			answers[i] = newAnswer(&search, m.c.Rules, from+i)
		}
		g := &generation{model: m, batch: pack(chunk, layout.Rows, m.c.Rules.Start), answers: answers, first: from, emit: emit}
		if err := g.run(ctx, req.Prompts); err != nil {
			return nil, err
		}
		texts, err := g.texts()
		if err != nil {
			return nil, err
		}
		res.Texts = append(res.Texts, texts...)
		for _, a := range answers {
			res.Tokens = append(res.Tokens, a.tokens())
		}
	}
	return res, nil
}

// generation is a batch of answers as they grow, with what lies on the device.
type generation struct {
	model   *Model
	batch   *batch
	answers []*answer
	first   int // index of the first answer in the request
	emit    func(adapters.Piece) error

	lengths *tensors.Tensor
	fixed   []*tensors.Tensor
	grown   []*tensors.Tensor
	steps   int
}

// run extends the answers until all are done.
func (g *generation) run(ctx context.Context, prompts *adapters.Tensor) error {
	defer g.free()
	logits, err := g.prefill(prompts)
	if err != nil {
		return err
	}
	tokens := make([]int32, g.batch.batch)
	if logits == nil {
		for i := range tokens {
			tokens[i] = g.model.c.Rules.Start
		}
		if logits, err = g.step(tokens); err != nil {
			return err
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return canceled(err)
		}
		done, err := g.extend(logits, tokens)
		if err != nil {
			return err
		}
		if err := g.stream(); err != nil {
			return err
		}
		if done {
			return nil
		}
		if logits, err = g.step(tokens); err != nil {
			return err
		}
	}
}

// extend chooses the next token of every answer that is not done and reports
// whether all are.
func (g *generation) extend(logits []float32, tokens []int32) (bool, error) {
	v := len(logits) / g.batch.batch
	all := true
	for i, a := range g.answers {
		if a.done() {
			continue
		}
		id, err := a.extend(logits[i*v : (i+1)*v])
		if err != nil {
			return false, err
		}
		tokens[i] = id
		all = all && a.done()
	}
	return all, nil
}

// prefill reads the input. It returns the logits float32[B, V] of the first
// token, or nil where the first step gives them.
func (g *generation) prefill(prompts *adapters.Tensor) ([]float32, error) {
	b := g.batch
	g.lengths = tensors.FromFlatDataAndDimensions(b.lengths, b.batch)
	args := []any{
		tensors.FromFlatDataAndDimensions(b.ids, b.batch, b.length),
		tensors.FromFlatDataAndDimensions(b.source, b.batch, b.length),
	}
	if b.prompts > 0 {
		p, err := b.upload(prompts)
		if err != nil {
			return nil, err
		}
		args = append(args, p)
	}
	defer free(args)
	out, err := g.model.graphs.run(key{purpose: prefillGraph, shape: b.shape}, g.model.buildPrefill, append([]any{g.lengths}, args...)...)
	if err != nil {
		return nil, err
	}
	if g.model.c.Rules.Architecture == adapters.EncoderDecoder {
		g.fixed = out
		return nil, nil
	}
	g.fixed = out[1:]
	return hosttensor.Float32s(out[0])
}

// buildPrefill builds the graph from lengths, ids, source and, where there are
// any, soft prompts.
func (m *Model) buildPrefill(p layers.Params, in []*Node) []*Node {
	var prompts *Node
	if len(in) > 3 {
		prompts = in[3]
	}
	done := m.c.Network.Prefill(p, Input{Embeds: embed(m.c.Network, p, in[1], in[2], prompts), Lengths: in[0]})
	if done.States == nil {
		return done.Fixed
	}
	logits := ConvertDType(m.c.Network.Logits(p, done.States), dtypes.Float32)
	return append([]*Node{logits}, done.Fixed...)
}

// step reads one token of each answer and returns the logits float32[B, V] of
// the next.
func (g *generation) step(tokens []int32) ([]float32, error) {
	m := g.model
	k := key{purpose: stepGraph, shape: shape{batch: g.batch.batch, length: g.batch.length}, room: lengthBucket(g.answers[0].search.MaxNewTokens)}
	if g.grown == nil {
		c := m.c.Network.Cache()
		for range c.Tensors {
			zeros := tensors.FromShape(shapes.Make(hosttensor.DType(m.c.Spec.DType), k.batch, c.Heads, k.room, c.Dim))
			g.grown = append(g.grown, zeros)
		}
	}
	token := tensors.FromFlatDataAndDimensions(tokens, len(tokens))
	step := tensors.FromScalar(int32(g.steps))
	defer free([]any{token, step})
	args := []any{token, step, g.lengths}
	for _, t := range g.fixed {
		args = append(args, t)
	}
	for _, t := range g.grown {
		donated, err := DonateTensorBuffer(t, m.c.Backend, 0)
		if err != nil {
			return nil, adapters.Errorf(adapters.Internal, "cache: %w", err)
		}
		args = append(args, donated)
		_ = t.FinalizeAll()
	}
	g.grown = g.grown[:0]
	fixed := len(g.fixed)
	out, err := m.graphs.run(k, func(p layers.Params, in []*Node) []*Node { return m.buildStep(p, in, fixed) }, args...)
	if err != nil {
		return nil, err
	}
	g.grown = out[1:]
	g.steps++
	return hosttensor.Float32s(out[0])
}

// buildStep builds the graph from tokens, step, lengths, the fixed and the
// grown tensors.
func (m *Model) buildStep(p layers.Params, in []*Node, fixed int) []*Node {
	out := m.c.Network.Step(p, StepInput{
		Tokens: in[0], Step: in[1], Lengths: in[2], Fixed: in[3 : 3+fixed], Grown: in[3+fixed:],
	})
	logits := ConvertDType(m.c.Network.Logits(p, out.States), dtypes.Float32)
	return append([]*Node{logits}, out.Grown...)
}

func (g *generation) free() {
	free([]any{g.lengths})
	for _, t := range append(g.fixed, g.grown...) {
		_ = t.FinalizeAll()
	}
}

// texts decodes the answers.
func (g *generation) texts() ([]string, error) {
	ids := make([][]int32, len(g.answers))
	for i, a := range g.answers {
		ids[i] = a.ids
	}
	texts, err := g.model.c.Tokenizer.DecodeBatch(ids, true)
	for i := range texts {
		texts[i] = strings.TrimSpace(texts[i])
	}
	return texts, err
}

// stream emits what has become certain of each answer: no white space that may
// turn out to be the last, no half of a character. All pieces of an answer make
// its text.
func (g *generation) stream() error {
	if g.emit == nil {
		return nil
	}
	texts, err := g.texts()
	if err != nil {
		return err
	}
	for i, a := range g.answers {
		text := texts[i]
		if !a.done() {
			text = strings.TrimRight(text, string(utf8.RuneError))
		}
		rest, grew := strings.CutPrefix(text, a.emitted)
		if !grew || rest == "" {
			continue
		}
		a.emitted = text
		if err := g.emit(adapters.Piece{Example: g.first + i, Text: rest}); err != nil {
			return err
		}
	}
	return nil
}
