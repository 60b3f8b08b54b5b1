package adaptertest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// The vocabulary of [FakeLanguage]: the bytes and the end-of-answer token.
const (
	fakeEnd        = 256
	fakeVocabulary = 257
	fakeWidth      = 12
	fakeLeak       = 0.7
)

// FakeLanguage is a decoder-only language model over bytes, with weights drawn
// from a seed: a leaky sum c[t] = 0.7·c[t−1] + x[t] over the sequence x of soft
// prompts and byte embeddings, h = tanh(c), logits = U·h. It has an exact
// gradient and every capability.
type FakeLanguage struct {
	spec    adapters.LanguageSpec
	embed   []float64 // [V, D]
	unembed []float64 // [V, D]
	closed  atomic.Bool
}

var (
	_ adapters.LanguageModel = (*FakeLanguage)(nil)
	_ adapters.Scorer        = (*FakeLanguage)(nil)
	_ adapters.TokenEmbedder = (*FakeLanguage)(nil)
	_ adapters.TokenCounter  = (*FakeLanguage)(nil)
)

// NewFakeLanguage returns the model of a seed.
func NewFakeLanguage(id string, seed uint64) *FakeLanguage {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := &FakeLanguage{embed: make([]float64, fakeVocabulary*fakeWidth), unembed: make([]float64, fakeVocabulary*fakeWidth)}
	for i := range m.embed {
		// Rounded, so that EmbedTokens and the model agree to the last bit.
		m.embed[i] = float64(float32(rng.NormFloat64()))
		m.unembed[i] = float64(float32(rng.NormFloat64()))
	}
	var norm float64
	for v := range fakeVocabulary {
		norm += math.Sqrt(dot(m.row(m.embed, v), m.row(m.embed, v))) / fakeVocabulary
	}
	m.spec = adapters.LanguageSpec{
		Spec: adapters.Spec{
			ID: id, Family: "fake", Kind: adapters.KindLanguage, Width: fakeWidth, DType: adapters.Float32,
			Parameters: 2 * fakeVocabulary * fakeWidth, MemoryBytes: 16 * fakeVocabulary * fakeWidth,
			Digest: fmt.Sprintf("sha256:%064x", seed), Source: "drawn from a seed",
			Capabilities: adapters.LanguageCapabilities(),
		},
		Architecture: adapters.DecoderOnly, ContextTokens: 4096, Vocabulary: fakeVocabulary,
		TokenNorm: float32(norm), EndOfAnswer: "end",
	}
	return m
}

// Spec returns the model's spec.
func (m *FakeLanguage) Spec() adapters.LanguageSpec { return m.spec }

// Close makes later calls fail.
func (m *FakeLanguage) Close() error {
	m.closed.Store(true)
	return nil
}

// check returns an error if the model cannot answer the request: if err is not nil, if the
// model is closed, or if a text is too long. Soft prompts may have any number of rows.
func (m *FakeLanguage) check(err error, examples []adapters.Example, candidates [][]string) error {
	if err != nil {
		return err
	}
	if m.closed.Load() {
		return errClosed(m.spec.Spec)
	}
	for i, e := range examples {
		texts := len(e.Target)
		if candidates != nil {
			texts = len(slices.MaxFunc(candidates[i], func(a, b string) int { return len(a) - len(b) }))
		}
		for _, s := range e.Segments {
			texts += len(s.Text)
		}
		if texts >= m.spec.ContextTokens {
			return adapters.Errorf(adapters.Invalid, "%d bytes of text, %s reads at most %d with an end", texts, m.spec.ID, m.spec.ContextTokens).WithField("examples[%d]", i)
		}
	}
	return nil
}

func errClosed(s adapters.Spec) error {
	return adapters.Errorf(adapters.Invalid, "model %s is closed", s.ID)
}

// step is a position of a sequence: a token, or row q of soft prompt m.
type step struct {
	token    int // −1 for a prompt
	row      int // of the prompts [M·Q, D]
	isTarget bool
}

// sequence returns the positions of an example. If nothing precedes the first target
// token, it is predicted from c = 0.
func (m *FakeLanguage) sequence(e adapters.Example, target string, prompts *adapters.Tensor) []step {
	var seq []step
	for _, s := range e.Segments {
		if s.IsPrompt {
			q := prompts.Shape[1]
			for i := range q {
				seq = append(seq, step{token: -1, row: s.Prompt*q + i})
			}
			continue
		}
		for _, b := range []byte(s.Text) {
			seq = append(seq, step{token: int(b)})
		}
	}
	for _, b := range []byte(target) {
		seq = append(seq, step{token: int(b), isTarget: true})
	}
	return append(seq, step{token: fakeEnd, isTarget: true})
}

// Loss computes losses and their gradient.
func (m *FakeLanguage) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if err := m.check(req.Check(m.spec), req.Examples, nil); err != nil {
		return nil, err
	}
	prompts, err := promptRows(req.Prompts)
	if err != nil {
		return nil, err
	}
	resp := &adapters.LossResponse{}
	grad := make([]float64, len(prompts))
	for _, e := range req.Examples {
		if err := ctx.Err(); err != nil {
			return nil, adapters.Errorf(adapters.Canceled, "%w", err).WithOp("loss")
		}
		loss, tokens := m.forward(m.sequence(e, e.Target, req.Prompts), prompts, grad)
		resp.Loss, resp.Tokens = append(resp.Loss, float32(loss)), append(resp.Tokens, tokens)
	}
	if req.Gradient {
		resp.Gradient = adapters.NewTensor(adapters.Float32, req.Prompts.Shape...)
		out := resp.Gradient.Float32s()
		for i, g := range grad {
			out[i] = float32(g)
		}
	}
	return resp, nil
}

// forward sums −log p over the target and adds the gradient by the prompts to
// grad (which may be nil).
func (m *FakeLanguage) forward(seq []step, prompts, grad []float64) (loss float64, tokens int32) {
	c := make([]float64, fakeWidth)
	back := make([][]float64, len(seq)) // ∂loss/∂c before each position
	for t, s := range seq {
		if s.isTarget {
			h := tanh(c)
			p := m.softmax(h)
			loss -= math.Log(p[s.token])
			tokens++
			back[t] = make([]float64, fakeWidth)
			for d := range h {
				var g float64
				for v, pv := range p {
					g += pv * m.unembed[v*fakeWidth+d]
				}
				back[t][d] = (g - m.unembed[s.token*fakeWidth+d]) * (1 - h[d]*h[d])
			}
		}
		for d, x := range m.input(s, prompts) {
			c[d] = fakeLeak*c[d] + x
		}
	}
	if grad == nil {
		return loss, tokens
	}
	dc := make([]float64, fakeWidth)
	for t := len(seq) - 1; t >= 0; t-- {
		if s := seq[t]; s.token < 0 {
			for d := range dc {
				grad[s.row*fakeWidth+d] += dc[d]
			}
		}
		for d := range dc {
			dc[d] *= fakeLeak
			if back[t] != nil {
				dc[d] += back[t][d]
			}
		}
	}
	return loss, tokens
}

func (m *FakeLanguage) input(s step, prompts []float64) []float64 {
	if s.token < 0 {
		return m.row(prompts, s.row)
	}
	return m.row(m.embed, s.token)
}

func (m *FakeLanguage) row(table []float64, i int) []float64 {
	return table[i*fakeWidth : (i+1)*fakeWidth]
}

func (m *FakeLanguage) softmax(h []float64) []float64 {
	p := make([]float64, fakeVocabulary)
	for v := range p {
		p[v] = dot(m.row(m.unembed, v), h)
	}
	top, sum := slices.Max(p), 0.0
	for v := range p {
		p[v] = math.Exp(p[v] - top)
		sum += p[v]
	}
	for v := range p {
		p[v] /= sum
	}
	return p
}

// Score sums log p over each candidate.
func (m *FakeLanguage) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	if err := m.check(req.Check(m.spec), req.Examples, req.Candidates); err != nil {
		return nil, err
	}
	prompts, err := promptRows(req.Prompts)
	if err != nil {
		return nil, err
	}
	scores := adapters.NewTensor(adapters.Float32, len(req.Examples), len(req.Candidates[0]))
	for i, e := range req.Examples {
		if err := ctx.Err(); err != nil {
			return nil, adapters.Errorf(adapters.Canceled, "%w", err).WithOp("score")
		}
		for j, candidate := range req.Candidates[i] {
			loss, _ := m.forward(m.sequence(e, candidate, req.Prompts), prompts, nil)
			scores.Float32s()[i*len(req.Candidates[0])+j] = float32(-loss)
		}
	}
	return &adapters.ScoreResponse{Scores: scores}, nil
}

// EmbedTokens returns the embeddings of bytes. A byte above 127 has no text, because it is not
// valid UTF-8 alone.
func (m *FakeLanguage) EmbedTokens(_ context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	resp := &adapters.EmbedTokensResponse{}
	var values []float32
	add := func(b byte, surface string) {
		resp.Surfaces = append(resp.Surfaces, surface)
		for _, x := range m.row(m.embed, int(b)) {
			values = append(values, float32(x))
		}
	}
	for _, text := range req.Texts {
		resp.Counts = append(resp.Counts, int32(len(text)))
		for _, b := range []byte(text) {
			surface := ""
			if b < utf8.RuneSelf {
				surface = string(rune(b))
			}
			add(b, surface)
		}
	}
	if len(req.Texts) == 0 {
		for b := range byte(utf8.RuneSelf) {
			add(b, string(rune(b)))
		}
	}
	resp.Embeddings = adapters.FromFloat32(values, len(resp.Surfaces), fakeWidth)
	return resp, nil
}

// CountTokens counts bytes.
func (m *FakeLanguage) CountTokens(_ context.Context, texts []string) ([]int32, error) {
	counts := make([]int32, len(texts))
	for i, t := range texts {
		counts[i] = int32(len(t))
	}
	return counts, nil
}

func promptRows(t *adapters.Tensor) ([]float64, error) {
	if t == nil {
		return nil, nil
	}
	values, err := t.ToFloat32()
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out, nil
}

func dot(a, b []float64) (s float64) {
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func tanh(c []float64) []float64 {
	h := make([]float64, len(c))
	for i, x := range c {
		h[i] = math.Tanh(x)
	}
	return h
}
