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
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
)

// model continues text word by word. Word t of an answer has the logits
//
//	bias[word before] + embed·x
//
// where x is row t of the example's soft prompts, and 0 after the last one. A row that
// points to a word's vector makes that word likelier at this position.
type model struct {
	spec  adapters.LanguageSpec
	words []string
	ids   map[string]int
	bias  [][]float64 // [V, V], from the counts of pairs
	embed [][]float64 // [V, D], random with a fixed seed

	closed atomic.Bool
}

var (
	_ adapters.LanguageModel = (*model)(nil)
	_ adapters.TokenEmbedder = (*model)(nil)
)

// Word 0 starts and ends an answer; word 1 stands for unknown words.
const (
	end     = 0
	unknown = 1
)

// A token is a word with the white space before it.
var token = regexp.MustCompile(`\s*\S+`)

// open reads a checkpoint folder. Its errors name the actual and the expected value, and a
// remedy.
func open(req *adapters.LoadRequest) (*model, error) {
	file := filepath.Join(req.Checkpoint, "config.json")
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%w", err).WithRemedy("make it with bridge-adapter-bigram -init DIR")
	}
	var c checkpoint
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", file, err)
	}
	if c.ModelType != "bigram" || c.Width < 1 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s: got model_type %q and width %d, want \"bigram\" and a width", file, c.ModelType, c.Width)
	}
	m := &model{words: []string{"</s>", "<unk>"}, ids: map[string]int{}}
	m.count(c.Text)
	rng, norm := rand.New(rand.NewPCG(1, 1)), 0.0
	for range m.words {
		row := make([]float64, c.Width)
		for d := range row {
			row[d] = float64(float32(rng.NormFloat64()))
		}
		m.embed = append(m.embed, row)
		norm += math.Sqrt(dot(row, row)) / float64(len(m.words))
	}
	req.Report("weights", int64(len(b)), int64(len(b)))
	v := len(m.words)
	m.spec = adapters.LanguageSpec{
		Spec: adapters.Spec{
			ID: req.ID, Family: "bigram", Kind: adapters.KindLanguage, Width: c.Width, DType: adapters.Float32,
			Parameters: int64(v * (v + c.Width)), MemoryBytes: int64(8 * v * (v + c.Width)),
			Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(b)), Source: file,
			Capabilities: []adapters.Capability{adapters.CapGradient, adapters.CapEmbedTokens},
		},
		Architecture: adapters.DecoderOnly, Vocabulary: v, TokenNorm: float32(norm), EndOfAnswer: "</s>",
	}
	if m.spec.ID == "" {
		m.spec.ID = filepath.Base(req.Checkpoint)
	}
	return m, nil
}

// count fills the vocabulary and bias.
func (m *model) count(text string) {
	for _, word := range strings.Fields(text) {
		if _, ok := m.ids[word]; !ok {
			m.ids[word], m.words = len(m.words), append(m.words, word)
		}
	}
	for range m.words {
		m.bias = append(m.bias, make([]float64, len(m.words)))
	}
	for line := range strings.Lines(text) {
		last, ids := end, m.tokens(line)
		for _, id := range append(ids, end) {
			m.bias[last][id]++
			last = id
		}
	}
	for _, row := range m.bias {
		for i, n := range row {
			row[i] = math.Log1p(100 * n)
		}
	}
}

func (m *model) tokens(text string) (ids []int) {
	for _, word := range strings.Fields(text) {
		id, ok := m.ids[word]
		if !ok {
			id = unknown
		}
		ids = append(ids, id)
	}
	return ids
}

// read returns the indices of the soft prompts' rows, the word before the target, and the
// target's words with the end. Neighbouring texts and the target are one string: a word that
// reaches into the target belongs to it.
func (m *model) read(e adapters.Example, prompts *adapters.Tensor) (rows []int, last int, target []int) {
	text := ""
	for _, s := range e.Segments {
		if !s.IsPrompt {
			text += s.Text
			continue
		}
		text = "" // no word spans a prompt, and last is the word directly before
		for q := range prompts.Shape[1] {
			rows = append(rows, s.Prompt*prompts.Shape[1]+q)
		}
	}
	joined, split := text+e.Target, 0
	for _, span := range token.FindAllStringIndex(joined, -1) {
		if span[1] <= len(text) {
			split = span[1]
		}
	}
	if before := m.tokens(joined[:split]); len(before) > 0 {
		last = before[len(before)-1]
	}
	return rows, last, append(m.tokens(joined[split:]), end)
}

// next returns the probabilities of word t of an answer.
func (m *model) next(last, t int, rows []int, prompts []float32) []float64 {
	p := slices.Clone(m.bias[last])
	for v := 0; t < len(rows) && v < len(p); v++ {
		for d, e := range m.embed[v] {
			p[v] += e * float64(prompts[rows[t]*m.spec.Width+d])
		}
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

func (m *model) Spec() adapters.LanguageSpec { return m.spec }

func (m *model) Close() error {
	m.closed.Store(true)
	return nil
}

// check returns err, or an error if the model is closed.
func (m *model) check(err error) error {
	if err == nil && m.closed.Load() {
		err = adapters.Errorf(adapters.Invalid, "model %s is closed", m.spec.ID)
	}
	return err
}

func (m *model) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if err := m.check(req.Check(m.spec)); err != nil {
		return nil, err
	}
	prompts := promptValues(req.Prompts)
	resp, gradient := &adapters.LossResponse{}, []float32(nil)
	if req.Gradient {
		resp.Gradient = adapters.NewTensor(adapters.Float32, req.Prompts.Shape...)
		gradient = resp.Gradient.Float32s()
	}
	for _, e := range req.Examples {
		if err := ctx.Err(); err != nil {
			return nil, adapters.Errorf(adapters.Canceled, "%w", err)
		}
		rows, last, target := m.read(e, req.Prompts)
		loss := 0.0
		for t, word := range target {
			p := m.next(last, t, rows, prompts)
			loss -= math.Log(p[word])
			p[word]-- // ∂loss/∂logits is p − one-hot(word), ∂logits/∂x is embed
			for d := 0; req.Gradient && t < len(rows) && d < m.spec.Width; d++ {
				for v := range p {
					gradient[rows[t]*m.spec.Width+d] += float32(p[v] * m.embed[v][d])
				}
			}
			last = word
		}
		resp.Loss, resp.Tokens = append(resp.Loss, float32(loss)), append(resp.Tokens, int32(len(target)))
	}
	return resp, nil
}

func (m *model) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if err := m.check(req.Check(m.spec)); err != nil {
		return nil, err
	}
	if p := req.Options.RepetitionPenalty; req.Options.NumBeams > 1 || req.Options.Sample || p != 0 && p != 1 {
		return nil, adapters.Errorf(adapters.Unsupported, "the bigram model has neither beams nor sampling nor a repetition penalty").WithRemedy("generate greedily")
	}
	limit := req.Options.MaxNewTokens
	if limit == 0 {
		limit = 20
	}
	resp := &adapters.GenerateResponse{}
	for i, e := range req.Examples {
		rows, last, _ := m.read(adapters.Example{Segments: e.Segments}, req.Prompts)
		text, t := "", 0
		for t < limit {
			if err := ctx.Err(); err != nil {
				return nil, adapters.Errorf(adapters.Canceled, "%w", err)
			}
			p := m.next(last, t, rows, promptValues(req.Prompts))
			if p[unknown] = 0; t < req.Options.MinNewTokens {
				p[end] = 0
			}
			if last = slices.Index(p, slices.Max(p)); last < 0 {
				return nil, adapters.Errorf(adapters.Invalid, "the soft prompts of example %d have values that are not finite", i)
			}
			if t++; last == end {
				break
			}
			text += " " + m.words[last]
			if emit != nil {
				if err := emit(adapters.Piece{Example: i, Text: " " + m.words[last]}); err != nil {
					return nil, err
				}
			}
		}
		resp.Texts, resp.Tokens = append(resp.Texts, strings.TrimSpace(text)), append(resp.Tokens, int32(t))
	}
	return resp, nil
}

// EmbedTokens is optional: it lets a new bridge start from an old one.
func (m *model) EmbedTokens(_ context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	resp, values := &adapters.EmbedTokensResponse{}, []float32(nil)
	var ids []int
	for _, text := range req.Texts {
		ids = append(ids, m.tokens(text)...)
		resp.Counts = append(resp.Counts, int32(len(m.tokens(text))))
	}
	for id := unknown + 1; len(req.Texts) == 0 && id < len(m.words); id++ {
		ids = append(ids, id)
	}
	for _, id := range ids {
		resp.Surfaces = append(resp.Surfaces, " "+m.words[id])
		for _, x := range m.embed[id] {
			values = append(values, float32(x))
		}
	}
	resp.Embeddings = adapters.FromFloat32(values, len(ids), m.spec.Width)
	return resp, nil
}

func promptValues(t *adapters.Tensor) []float32 {
	if t == nil {
		return nil
	}
	values, _ := t.ToFloat32() // Check has verified the type
	return values
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
