package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/modular-bridging/bridge/adapters"
)

// YOURS: replace the model in this file. The one here is small, so you can read it all, and
// it can be trained. Token t of an answer has the logits
//
//	embed · (next[token before it] + x)
//
// where x is row t of the example's soft prompts, and 0 after the last row. Tokens are words.
// Your model may compute anything, if its methods keep their contract.

// The tokens that are not words.
const (
	end     = 0 // ends an answer, and stands before its first word if there is no text
	unknown = 1 // stands for words outside the vocabulary
)

// model is a frozen language model of V tokens and width D.
type model struct {
	spec  adapters.LanguageSpec
	words []string
	ids   map[string]int
	embed [][]float64 // [V, D]
	next  [][]float64 // [V, D]

	closed atomic.Bool
}

var (
	_ adapters.LanguageModel = (*model)(nil)
	_ adapters.TokenEmbedder = (*model)(nil) // optional, and so are Scorer and TokenCounter
)

// config is the file config.json of a checkpoint folder.
type config struct {
	ModelType string   `json:"model_type"`
	Width     int      `json:"width"`
	Seed      uint64   `json:"seed"` // of the random weights
	Words     []string `json:"words"`
}

// open reads a checkpoint folder.
//
// YOURS: read your weights and report progress. Loading has no time limit. An error says
// what is wrong, what is expected, and what the user can do.
func open(req *adapters.LoadRequest) (adapters.LanguageModel, error) {
	file := filepath.Join(req.Checkpoint, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%w", err).WithRemedy("set path to a checkpoint folder, such as the project's own")
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", file, err)
	}
	if c.ModelType != name || c.Width < 1 || len(c.Words) == 0 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has model_type %q, width %d and %d words, want %q and positive numbers",
			file, c.ModelType, c.Width, len(c.Words), name)
	}
	if req.DType != adapters.InvalidDType && req.DType != adapters.Float32 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s computes in float32, %s was requested", name, req.DType).
			WithRemedy("leave dtype out of the recipe")
	}
	m := draw(c)
	req.Report("weights", int64(len(text)), int64(len(text)))
	m.spec = m.describe(req, c, fmt.Sprintf("sha256:%x", sha256.Sum256(text)))
	return m, nil
}

// draw makes random weights.
func draw(c config) *model {
	m := &model{words: append([]string{"</s>", "<unk>"}, c.Words...), ids: map[string]int{}}
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	row := func(scale float64) []float64 {
		x := make([]float64, c.Width)
		for d := range x {
			x[d] = float64(float32(scale * rng.NormFloat64())) // the precision of EmbedTokens
		}
		return x
	}
	for id, word := range m.words {
		if id > unknown { // "</s>" in a text is an unknown word, not the end
			m.ids[word] = id
		}
		m.embed, m.next = append(m.embed, row(1)), append(m.next, row(0.1))
	}
	return m
}

// describe returns the spec. bridge trusts it, and the tests check it.
func (m *model) describe(req *adapters.LoadRequest, c config, digest string) adapters.LanguageSpec {
	norm := 0.0
	for _, row := range m.embed {
		norm += math.Sqrt(dot(row, row)) / float64(len(m.embed))
	}
	id := req.ID
	if id == "" {
		id = name
	}
	parameters := int64(2 * len(m.words) * c.Width)
	return adapters.LanguageSpec{
		Spec: adapters.Spec{
			ID: id, Family: name, Kind: adapters.KindLanguage, Width: c.Width, DType: adapters.Float32,
			Parameters: parameters, MemoryBytes: 8 * parameters, Digest: digest, Source: "random, from a seed",
			Capabilities: []adapters.Capability{adapters.CapGradient, adapters.CapEmbedTokens},
		},
		Architecture: adapters.DecoderOnly, Vocabulary: len(m.words), TokenNorm: float32(norm), EndOfAnswer: "</s>",
	}
}

// Spec describes the model.
func (m *model) Spec() adapters.LanguageSpec { return m.spec }

// Close frees the model; calls after it fail.
//
// YOURS: if running calls use the memory that you free, wait for them.
func (m *model) Close() error {
	m.closed.Store(true)
	return nil
}

// check returns an error if the model is closed, and err otherwise.
func (m *model) check(err error) error {
	if m.closed.Load() {
		return adapters.Errorf(adapters.Invalid, "%s is closed", m.spec.ID)
	}
	return err
}

// Loss scores each example's target. If the request has Gradient set, it also computes the
// gradient with respect to the soft prompts.
//
// YOURS: if your model has no gradient, leave adapters.CapGradient out of its spec, and
// req.Check refuses requests for one. The model can then caption, but bridges cannot be
// trained on it.
func (m *model) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if err := m.check(req.Check(m.spec)); err != nil {
		return nil, err
	}
	resp, gradient := &adapters.LossResponse{}, []float32(nil)
	if req.Gradient {
		resp.Gradient = adapters.NewTensor(adapters.Float32, req.Prompts.Shape...)
		gradient = resp.Gradient.Float32s()
	}
	prompts := m.rows(req.Prompts)
	for _, e := range req.Examples {
		if err := ctx.Err(); err != nil {
			return nil, adapters.Errorf(adapters.Canceled, "%w", err)
		}
		s := m.read(e, req.Prompts)
		resp.Loss = append(resp.Loss, float32(m.score(s, prompts, gradient)))
		resp.Tokens = append(resp.Tokens, int32(len(s.target)))
	}
	return resp, nil
}

// score returns Σ −log p over the target's tokens. If gradient is non-nil, it adds ∂/∂prompts
// to it.
func (m *model) score(s sequence, prompts [][]float32, gradient []float32) (loss float64) {
	before := s.before
	for t, token := range s.target {
		p := m.probabilities(before, s.row(t), prompts)
		loss -= math.Log(p[token])
		p[token]-- // ∂loss/∂logits is p − one-hot(token), and ∂logits/∂x is embed
		if row := s.row(t); row >= 0 && gradient != nil {
			for v, dlogit := range p {
				for d, e := range m.embed[v] {
					gradient[row*m.spec.Width+d] += float32(dlogit * e)
				}
			}
		}
		before = token
	}
	return loss
}

// probabilities returns the probabilities of the next token [V]. row is a row of the soft
// prompts, or −1.
func (m *model) probabilities(before, row int, prompts [][]float32) []float64 {
	state := slices.Clone(m.next[before])
	if row >= 0 {
		for d, x := range prompts[row] {
			state[d] += float64(x)
		}
	}
	p := make([]float64, len(m.words))
	for v := range p {
		p[v] = dot(m.embed[v], state)
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

// Generate continues each example greedily.
//
// YOURS: options have transformers' meaning. Refuse options that your model lacks, as here,
// and never ignore one. What bridge serve batches best (options of each example, stop texts,
// log-probabilities, ...) are capabilities: name them in the spec once you have them.
func (m *model) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if err := m.check(req.Check(m.spec)); err != nil {
		return nil, err
	}
	if o := req.Options; o.NumBeams > 1 || o.Sample || o.RepetitionPenalty != 0 && o.RepetitionPenalty != 1 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has neither beams nor sampling nor a repetition penalty", name).
			WithRemedy("generate greedily")
	}
	resp, prompts := &adapters.GenerateResponse{}, m.rows(req.Prompts)
	for i, e := range req.Examples {
		s := m.read(adapters.Example{Segments: e.Segments}, req.Prompts)
		text, tokens, err := m.answer(ctx, s, prompts, req.Options, func(word string) error {
			if emit == nil {
				return nil
			}
			return emit(adapters.Piece{Example: i, Text: word})
		})
		if err != nil {
			return nil, err
		}
		resp.Texts, resp.Tokens = append(resp.Texts, strings.TrimSpace(text)), append(resp.Tokens, tokens)
	}
	return resp, nil
}

// answer generates one answer.
func (m *model) answer(ctx context.Context, s sequence, prompts [][]float32, o adapters.GenerateOptions,
	emit func(word string) error) (text string, tokens int32, err error) {
	limit := o.MaxNewTokens
	if limit == 0 {
		limit = 20
	}
	before := s.before
	for t := range limit {
		if err := ctx.Err(); err != nil {
			return "", 0, adapters.Errorf(adapters.Canceled, "%w", err)
		}
		p := m.probabilities(before, s.row(t), prompts)
		if p[unknown] = 0; t < o.MinNewTokens {
			p[end] = 0
		}
		if before = slices.Index(p, slices.Max(p)); before < 0 {
			return "", 0, adapters.Errorf(adapters.Invalid, "the soft prompts have values that are not finite")
		}
		if before == end {
			return text, int32(t + 1), nil
		}
		word := " " + m.words[before]
		if err := emit(word); err != nil {
			return "", 0, err
		}
		text += word
	}
	return text, int32(limit), nil
}

// EmbedTokens returns the token embeddings. With them, a bridge that was trained for another
// model can start from the words that both models know.
func (m *model) EmbedTokens(_ context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	if err := m.check(nil); err != nil {
		return nil, err
	}
	resp, ids := &adapters.EmbedTokensResponse{}, []int(nil)
	for _, text := range req.Texts {
		tokens := m.tokens(strings.Fields(text))
		ids = append(ids, tokens...)
		resp.Counts = append(resp.Counts, int32(len(tokens)))
	}
	for id := unknown + 1; len(req.Texts) == 0 && id < len(m.words); id++ {
		ids = append(ids, id)
	}
	resp.Embeddings = adapters.NewTensor(adapters.Float32, len(ids), m.spec.Width)
	for i, id := range ids {
		resp.Surfaces = append(resp.Surfaces, " "+m.words[id])
		for d, x := range m.embed[id] {
			resp.Embeddings.Float32s()[i*m.spec.Width+d] = float32(x)
		}
	}
	return resp, nil
}

// sequence is the layout of an example.
type sequence struct {
	rows   []int // of the soft prompts [M·Q, D], in the order of the segments
	before int   // the token before the target
	target []int // including the end
}

// row returns the row of the soft prompts that token t reads, or −1.
func (s sequence) row(t int) int {
	if t < len(s.rows) {
		return s.rows[t]
	}
	return -1
}

// read lays out an example. Neighbouring texts and the target are one string: a word that
// reaches into the target belongs to it. No word spans a soft prompt.
func (m *model) read(e adapters.Example, prompts *adapters.Tensor) (s sequence) {
	text := ""
	for _, segment := range e.Segments {
		if !segment.IsPrompt {
			text += segment.Text
			continue
		}
		text = ""
		for q := range prompts.Shape[1] {
			s.rows = append(s.rows, segment.Prompt*prompts.Shape[1]+q)
		}
	}
	words, n := strings.Fields(text+e.Target), len(strings.Fields(text))
	spaced := strings.TrimRightFunc(text, unicode.IsSpace) != text || strings.TrimLeftFunc(e.Target, unicode.IsSpace) != e.Target
	if n > 0 && e.Target != "" && !spaced {
		n--
	}
	if n > 0 {
		s.before = m.tokens(words[:n])[n-1]
	}
	s.target = append(m.tokens(words[n:]), end)
	return s
}

func (m *model) tokens(words []string) []int {
	ids := make([]int, len(words))
	for i, word := range words {
		id, known := m.ids[word]
		if !known {
			id = unknown
		}
		ids[i] = id
	}
	return ids
}

// rows cuts soft prompts float32 or bfloat16 [M, Q, D] into M·Q rows.
func (m *model) rows(prompts *adapters.Tensor) [][]float32 {
	if prompts == nil {
		return nil
	}
	values, err := prompts.ToFloat32()
	if err != nil {
		panic(err) // Check has verified the type
	}
	return slices.Collect(slices.Chunk(values, m.spec.Width))
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
