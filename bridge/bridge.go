package bridge

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/qformer"
)

// Bridge is the trained part of a vision-language model: Q-Former and ln_vision, with the
// text side and the heads in stage 1, and the projection to a language model's width in
// stage 2. Its methods may be called from several goroutines, except while a training
// changes the weights.
type Bridge struct {
	// Info may be changed until the bridge is saved.
	Info Info

	backend   compute.Backend
	config    qformer.Config
	store     *model.Store
	tokenizer *Tokenizer // of the text side; nil in stage 2

	forwards atomic.Int64 // see [Bridge.Forwards]

	mu    sync.Mutex // guards execs
	execs map[string]*model.Exec
}

// New makes a bridge for stage 1 with random weights, which depend on seed alone. The
// bridge takes over tok, the Q-Former's tokenizer.
func New(backend compute.Backend, config qformer.Config, tok *Tokenizer, seed uint64) (*Bridge, error) {
	if err := config.Validate(qformer.Stage1); err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "%w", err)
	}
	store := model.NewStore()
	if err := qformer.Init(store, config, config.Parameters(qformer.Stage1), seed); err != nil {
		return nil, err
	}
	return newBridge(backend, config, store, tok, Info{Stage: 1}), nil
}

func newBridge(backend compute.Backend, config qformer.Config, store *model.Store, tok *Tokenizer, info Info) *Bridge {
	return &Bridge{Info: info, backend: backend, config: config, store: store, tokenizer: tok, execs: map[string]*model.Exec{}}
}

// Backend returns the backend that the bridge computes on.
func (b *Bridge) Backend() compute.Backend { return b.backend }

// Config returns the Q-Former's shape.
func (b *Bridge) Config() qformer.Config { return b.config }

// SetDropout changes the dropout probability of the training; 0 ≤ p < 1.
func (b *Bridge) SetDropout(p float64) { b.config.Dropout = p }

// Store returns the weights, under their Hugging Face names, for a training to change.
// The bridge still owns the store.
func (b *Bridge) Store() *model.Store { return b.store }

// Tokenizer returns the tokenizer of the Q-Former's text side, nil in stage 2.
func (b *Bridge) Tokenizer() *Tokenizer { return b.tokenizer }

// Stage returns the stage whose parameters the bridge has.
func (b *Bridge) Stage() qformer.Stage { return b.Info.parameters() }

// parameters returns the stage whose parameters a bridge has.
func (i Info) parameters() qformer.Stage {
	if i.Stage == 2 {
		return qformer.Stage2
	}
	return qformer.Stage1
}

// Close frees the weights.
func (b *Bridge) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.execs {
		e.Finalize()
	}
	b.execs = nil
	b.store.Finalize()
	if b.tokenizer != nil {
		b.tokenizer.Close()
	}
}

// ForLanguage returns a stage-2 bridge for a language model: a copy of b's query side with a
// fresh projection. Its soft prompts start near the model's token norm, so that the frozen
// model can read them from the first step on. It does not change b.
func (b *Bridge) ForLanguage(spec adapters.LanguageSpec, templates Templates, seed uint64) (*Bridge, error) {
	next, err := b.forLanguage(spec, templates, Words{}, seed)
	if err != nil {
		return nil, err
	}
	if err := next.initProjection(spec, seed); err != nil {
		next.Close()
		return nil, err
	}
	return next, nil
}

// forLanguage returns a stage-2 bridge for a language model. Its projection speaks in words,
// or is linear if there are none. If b speaks in the same words, their weights stay.
func (b *Bridge) forLanguage(spec adapters.LanguageSpec, templates Templates, words Words, seed uint64) (*Bridge, error) {
	if !(spec.TokenNorm > 0) {
		return nil, adapters.Errorf(adapters.Invalid, "language model %s says that its token embeddings have norm %g, want above 0: soft prompts start near it", spec.ID, spec.TokenNorm).
			WithRemedy("let the adapter's spec give the mean L2 norm of its token embeddings")
	}
	config := b.config
	config.LanguageWidth, config.Words, config.Residual = spec.Width, len(words.List), words.Residual
	fresh := []qformer.Part{qformer.PartWords, qformer.PartResidual}
	if len(words.List) == 0 || words.Fresh || !slices.Equal(words.List, b.Info.Words) {
		fresh = append(fresh, qformer.PartLanguage)
	}
	store, err := b.withFreshParts(config, qformer.Stage2, fresh, seed)
	if err != nil {
		return nil, err
	}
	info := b.Info
	info.Stage = 2
	info.Language = &Side{ID: spec.ID, Family: spec.Family, Width: spec.Width, Digest: spec.Digest, TokenNorm: spec.TokenNorm}
	info.Templates, info.Words = &templates, slices.Clone(words.List)
	return newBridge(b.backend, config, store, nil, info), nil
}

// withFreshParts returns the weights of a stage in another configuration: copies of b's
// weights, except some parts, which are random.
func (b *Bridge) withFreshParts(config qformer.Config, stage qformer.Stage, parts []qformer.Part, seed uint64) (*model.Store, error) {
	store := model.NewStore()
	for _, p := range config.Parameters(stage) {
		var err error
		if slices.Contains(parts, p.Part) {
			err = qformer.Init(store, config, []qformer.Param{p}, seed)
		} else {
			err = b.copyTo(store, p)
		}
		if err != nil {
			store.Finalize()
			return nil, err
		}
	}
	return store, nil
}

// copyTo creates a variable of a store with a copy of b's weight of the same name.
func (b *Bridge) copyTo(store *model.Store, p qformer.Param) error {
	values, err := b.values(p.Name)
	if err != nil {
		return err
	}
	if len(values) != p.Size() {
		return fmt.Errorf("weight %s has %d elements in the bridge, want %v", p.Name, len(values), p.Shape)
	}
	_, err = store.CreateVariable(qformer.VariablePath(p.Name), tensors.FromFlatDataAndDimensions(values, p.Shape...))
	return err
}

// initProjection draws a random projection that maps a Q-Former output, which is
// layer-normed and therefore has norm √width, to a soft prompt of the model's token norm.
func (b *Bridge) initProjection(spec adapters.LanguageSpec, seed uint64) error {
	in, out := b.config.HiddenSize, spec.Width
	std := float64(spec.TokenNorm) / math.Sqrt(float64(in)*float64(out))
	return b.SetProjection(normals(in*out, std, seed, 0x70726f6a), make([]float32, out)) // "proj"
}

// normals draws n normally distributed numbers around 0.
func normals(n int, std float64, seed, stream uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, stream))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(rng.NormFloat64() * std)
	}
	return values
}

// Names of the projection's weights.
const (
	projectionWeight = "language_projection.weight"
	projectionBias   = "language_projection.bias"
)

// Projection returns the projection's weight float32[Dllm, D] and bias
// float32[Dllm], row-major copies.
func (b *Bridge) Projection() (weight, bias []float32, err error) {
	if b.config.Words > 0 {
		return nil, nil, adapters.Errorf(adapters.Unsupported, "the bridge's projection speaks in %d words, and is no linear map", b.config.Words)
	}
	if weight, err = b.values(projectionWeight); err != nil {
		return nil, nil, err
	}
	bias, err = b.values(projectionBias)
	return weight, bias, err
}

// SetProjection replaces the projection by weight float32[Dllm, D] and bias
// float32[Dllm].
func (b *Bridge) SetProjection(weight, bias []float32) error {
	in, out := b.config.HiddenSize, b.config.LanguageWidth
	if len(weight) != in*out || len(bias) != out {
		return fmt.Errorf("projection of %d weights and %d biases, want %d×%d and %d", len(weight), len(bias), out, in, out)
	}
	if err := b.setValues(projectionWeight, weight, out, in); err != nil {
		return err
	}
	return b.setValues(projectionBias, bias, out)
}

func (b *Bridge) values(name string) ([]float32, error) {
	v := b.store.GetVariable(qformer.VariablePath(name))
	if v == nil {
		return nil, fmt.Errorf("the bridge has no %s; it is of stage %d", name, b.Info.Stage)
	}
	t, err := v.Value()
	if err != nil {
		return nil, err
	}
	return tensors.CopyFlatData[float32](t)
}

func (b *Bridge) setValues(name string, values []float32, dims ...int) error {
	v := b.store.GetVariable(qformer.VariablePath(name))
	if v == nil {
		return fmt.Errorf("the bridge has no %s; it is of stage %d", name, b.Info.Stage)
	}
	return v.SetValue(tensors.FromFlatDataAndDimensions(values, dims...))
}

// Queries returns the Q-Former's outputs float32[B, Q, D] for features [B, N, Denc].
func (b *Bridge) Queries(ctx context.Context, features *adapters.Tensor) (*adapters.Tensor, error) {
	return b.inBuckets(ctx, "queries", features, func(m *qformer.Model, features *Node) *Node {
		return m.Queries(features)
	})
}

// SoftPrompts returns float32[B, Q, Dllm] for features [B, N, Denc].
func (b *Bridge) SoftPrompts(ctx context.Context, features *adapters.Tensor) (*adapters.Tensor, error) {
	if b.Info.Stage != 2 {
		return nil, fmt.Errorf("soft prompts: this bridge is of stage %d and joined with no language model; train stage 2 first", b.Info.Stage)
	}
	return b.inBuckets(ctx, "soft-prompts", features, func(m *qformer.Model, features *Node) *Node {
		return m.Prompts(features)
	})
}

// Forwards returns how many rows went through the Q-Former so far, in calls of the bridge's
// methods: pictures, texts, or pairs of the two. Steps of training are not among them.
func (b *Bridge) Forwards() int64 { return b.forwards.Load() }

// run executes the graph that build makes, compiled once per name and shape.
func (b *Bridge) run(name string, build func(m *qformer.Model, in []*Node) []*Node, in ...*adapters.Tensor) ([]*adapters.Tensor, error) {
	exec, err := b.exec(name, build)
	if err != nil {
		return nil, err
	}
	args := make([]any, len(in))
	for i, t := range in {
		d, err := hosttensor.ToDevice(b.backend, t)
		if err != nil {
			return nil, err
		}
		defer d.FinalizeAll()
		args[i] = d
	}
	results, err := exec.Call(args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out := make([]*adapters.Tensor, len(results))
	for i, r := range results {
		if out[i], err = hosttensor.FromDevice(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *Bridge) exec(name string, build func(m *qformer.Model, in []*Node) []*Node) (*model.Exec, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.execs[name]; ok {
		return e, nil
	}
	e, err := model.NewExec(b.backend, b.store, func(_ *model.Scope, in []*Node) []*Node {
		return build(qformer.New(b.config, b.store, in[0].Graph(), nil), in)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b.execs[name] = e
	return e, nil
}
