package lm

import (
	"context"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/tokenizer"
)

var (
	_ adapters.LanguageModel = (*Model)(nil)
	_ adapters.Scorer        = (*Model)(nil)
	_ adapters.TokenEmbedder = (*Model)(nil)
	_ adapters.TokenCounter  = (*Model)(nil)
	_ TextEncoder            = (*tokenizer.Tokenizer)(nil)
)

// Config describes a loaded model.
type Config struct {
	// Spec describes the model. [New] fills in Kind, Capabilities and TokenNorm.
	Spec          adapters.LanguageSpec
	SpecialTokens SpecialTokens
	Defaults      GenerationDefaults
	Tokenizer     *tokenizer.Tokenizer
	Network       Network
	Store         *model.Store
	Backend       compute.Backend
	// Embedding is the checkpoint name of the token embeddings [V, D].
	Embedding string
	// EmbeddingScale is the factor by which Network.Embed multiplies them; 0 means 1.
	EmbeddingScale float64
}

// Model is a language model whose graphs a [Network] builds. It computes one
// request at a time; other requests wait.
type Model struct {
	c      Config
	graphs *graphs
	lock   chan struct{} // holds one element while the model is free; a closed model keeps it
	closed chan struct{}
}

// New returns a model that owns c's store and tokenizer, also if it fails.
func New(c Config) (*Model, error) {
	m := &Model{c: c, graphs: newGraphs(c.Backend, c.Store), lock: make(chan struct{}, 1), closed: make(chan struct{})}
	if token, found := m.tokenizer().tokenWithoutEmbedding(); found {
		m.free()
		return nil, adapters.Errorf(adapters.Corrupt, "the tokenizer has %d tokens, the model %d embeddings: none for %q", c.Tokenizer.VocabSize(), c.Spec.Vocabulary, token).
			WithRemedy("the tokenizer's files and the weights must come from one model")
	}
	m.c.Spec.Kind = adapters.KindLanguage
	m.c.Spec.Capabilities = adapters.LanguageCapabilities()
	var err error
	if m.c.Spec.TokenNorm, err = m.tokenNorm(); err != nil {
		m.free()
		return nil, err
	}
	m.lock <- struct{}{}
	return m, nil
}

// Spec describes the model.
func (m *Model) Spec() adapters.LanguageSpec {
	s := m.c.Spec
	s.Capabilities = append([]adapters.Capability(nil), s.Capabilities...)
	return s
}

// Close waits for the request that is being computed and frees the model.
func (m *Model) Close() error {
	select {
	case <-m.closed:
		return nil
	case <-m.lock:
	}
	close(m.closed)
	return m.free()
}

func (m *Model) free() error {
	m.graphs.close()
	m.c.Store.Finalize()
	return m.c.Tokenizer.Close()
}

// acquire waits until the model is free. The caller must call release afterwards.
func (m *Model) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return canceled(err)
	}
	select {
	case <-m.lock:
		return nil
	case <-m.closed:
		return adapters.Errorf(adapters.Invalid, "model %s is closed", m.c.Spec.ID)
	case <-ctx.Done():
		return canceled(ctx.Err())
	}
}

func (m *Model) release() { m.lock <- struct{}{} }

func canceled(err error) error {
	return adapters.Errorf(adapters.Canceled, "the request was canceled: %w", err)
}

// tokenizer returns the tokenizer for the texts of requests.
func (m *Model) tokenizer() vocabChecked { return vocabChecked{m.c.Tokenizer, m.c.Spec.Vocabulary} }

// layout returns the layout for a request's prompts float[M, Q, D] or nil.
func (m *Model) layout(prompts *adapters.Tensor) Layout {
	l := Layout{Architecture: m.c.Spec.Architecture, SpecialTokens: m.c.SpecialTokens, Tokenizer: m.tokenizer()}
	if prompts != nil {
		l.Rows = prompts.Shape[1]
	}
	return l
}

// checkContext returns an error with the text of an example that is longer than the model
// can read. answers has the number of positions that each answer may take; it is nil if the
// sequences have targets.
func (m *Model) checkContext(examples []adapters.Example, sequences []Sequence, answers []int) error {
	limit := m.c.Spec.ContextTokens
	if limit == 0 {
		return nil
	}
	for i, s := range sequences {
		extra := 0
		if answers != nil {
			extra = answers[i]
		}
		if n := len(s.Input); n+extra > limit {
			text := textOf(examples[i], answers == nil)
			e := adapters.Errorf(adapters.Invalid, "the text %s takes %d positions, soft prompts included, %s reads at most %d", text, n, m.c.Spec.ID, limit)
			if extra > 0 {
				e = adapters.Errorf(adapters.Invalid, "the text %s takes %d positions, soft prompts included, and its answer up to %d more, %s reads at most %d", text, n, extra, m.c.Spec.ID, limit)
			}
			return e.WithField("examples[%d]", i).WithRemedy("shorten the text, use fewer soft prompts, or ask for fewer new tokens")
		}
	}
	return nil
}

// textOf returns an example's text in quotes, shortened, for an error.
func textOf(e adapters.Example, withTarget bool) string {
	var b strings.Builder
	for _, s := range e.Segments {
		b.WriteString(s.Text)
	}
	if withTarget {
		b.WriteString(e.Target)
	}
	return printable.Quote(b.String())
}

// maxRows bounds the examples that are computed at once.
const maxRows = 64

// maxLogits bounds the elements of the logits that are computed at once: 1 GiB.
const maxLogits = 1 << 28

// chunkRows returns how many sequences with up to k targets to compute at once.
func (m *Model) chunkRows(k int) int {
	rows := maxRows
	for rows > 1 && rows*lengthBucket(max(1, k))*m.c.Spec.Vocabulary > maxLogits {
		rows /= 2
	}
	return rows
}

// XLA's CPU backend computes a gradient for as many positions at once as have maxActivations bytes of
// activations, and for at least fewPositions. It is as fast with 256 positions as with more
// (docs/benchmarks.md), and their activations take memory.
const (
	maxActivations = 1 << 28
	fewPositions   = 256
)

// gradientRows returns for how many sequences with up to n positions to compute gradients at once, in a
// model with some parameters and a width.
func gradientRows(backend string, parameters, width, n int) int {
	rows := maxRows
	if backend != backends.XLACPU {
		return rows
	}
	// A layer of width D has about 12·D² weights, and about 14·D activations for each position.
	bytes := 4 * 14 * parameters / (12 * width)
	most := max(fewPositions, maxActivations/max(1, bytes))
	for rows > 1 && rows*lengthBucket(n) > most {
		rows /= 2
	}
	return rows
}

// uploadPrompts copies the soft prompts that a batch reads to float32[M, Q, D].
func (b *batch) uploadPrompts(prompts *adapters.Tensor) (*tensors.Tensor, error) {
	d := prompts.Shape[2]
	values := make([]float32, b.prompts*b.rows*d)
	for i, p := range b.used {
		row, err := prompts.Row(p).ToFloat32()
		if err != nil {
			return nil, err
		}
		copy(values[i*b.rows*d:], row)
	}
	return tensors.FromFlatDataAndDimensions(values, b.prompts, b.rows, d), nil
}

// embeddings returns the token embeddings float32[V, D] as they enter the model.
func (m *Model) embeddings() ([]float32, error) {
	v := m.c.Store.GetVariable(layers.VariablePath(m.c.Embedding))
	if v == nil {
		return nil, adapters.Errorf(adapters.Internal, "token embeddings %q are not in the store", m.c.Embedding)
	}
	value, err := v.Value()
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "token embeddings: %w", err)
	}
	rows, err := toFloat32(value)
	if scale := float32(m.c.EmbeddingScale); scale != 0 && err == nil {
		for i := range rows {
			rows[i] *= scale
		}
	}
	return rows, err
}

// tokenNorm returns the mean L2 norm of the token embeddings as they enter the
// model. It takes some at a time: copied to the host and widened, the table would
// be most of what loading needs beside the weights.
func (m *Model) tokenNorm() (float32, error) {
	vocabulary := m.c.Spec.Vocabulary
	ids := make([]int32, min(4096, vocabulary))
	var sum float64
	for from := 0; from < vocabulary; from += len(ids) {
		for i := range ids {
			ids[i] = int32(min(from+i, vocabulary-1))
		}
		arg := tensors.FromFlatDataAndDimensions(ids, len(ids))
		out, err := m.graphs.run(key{purpose: normGraph}, func(p layers.Params, in []*Node) []*Node {
			x := ConvertDType(m.c.Network.Embed(p, in[0]), dtypes.Float32)
			return []*Node{Sqrt(ReduceSum(Square(x), -1))}
		}, arg)
		free([]any{arg})
		if err != nil {
			return 0, err
		}
		norms, err := hosttensor.Float32s(out[0])
		if err != nil {
			return 0, adapters.Errorf(adapters.Internal, "norms of the token embeddings: %w", err)
		}
		for _, x := range norms[:min(len(ids), vocabulary-from)] {
			sum += float64(x)
		}
	}
	return float32(sum / float64(vocabulary)), nil
}
