package lm

import (
	"context"
	"path/filepath"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/tokenizer"
)

// Definition describes the model of a checkpoint folder, as a family reads it from
// config.json and the tokenizer.
type Definition struct {
	Family        adapters.Family
	Width         int    // D
	Vocabulary    int    // V
	Context       int    // longest sequence, 0 if unbounded
	EndOfAnswer   string // the token that ends an answer, for people
	SpecialTokens SpecialTokens
	Defaults      GenerationDefaults
	Tokenizer     *tokenizer.Tokenizer
	Network       Network
	Embedding     string // checkpoint name of the token embeddings
	// EmbeddingScale is the factor by which the network multiplies them; 0 means 1.
	EmbeddingScale float64
	Tensors        []weights.TensorSpec
	Unused         weights.UnusedList // tensors that the file may hold and the model does not read
}

// Load reads the weights of folder and returns the model. It takes over d's
// tokenizer, also if it fails; the folder stays the caller's.
func Load(ctx context.Context, req *adapters.LoadRequest, folder *weights.Folder, d Definition) (*Model, error) {
	config, err := load(ctx, req, folder, d)
	if err != nil {
		d.Tokenizer.Close()
		return nil, err
	}
	return New(config)
}

func load(ctx context.Context, req *adapters.LoadRequest, folder *weights.Folder, d Definition) (Config, error) {
	if req.Activation != "" && d.Family.ActivationKey == "" {
		return Config{}, adapters.Errorf(adapters.Unsupported, "the activation %q instead of the checkpoint's, which family %s cannot replace", req.Activation, d.Family.Name).
			WithRemedy("remove activation from the model's manifest")
	}
	backend, err := backends.Open(req.Backend)
	if err != nil {
		return Config{}, err
	}
	dtype := req.DType
	if dtype == adapters.InvalidDType {
		dtype = defaultDType(folder, d, backends.Describe(backend))
	}
	if dtype == adapters.BFloat16 && backends.Describe(backend) == backends.Go {
		// Measured with compute v0.1.3 and simd (AVX2): a batched product
		// [B, M, K] × [B, N, K] of bfloat16 is wrong from K = 16 on.
		return Config{}, adapters.Errorf(adapters.Unsupported, "bfloat16 on the Go backend, which computes wrong matrix products in it").
			WithRemedy("compute in float32, or on an XLA backend")
	}
	digest, err := folder.Digest()
	if err != nil {
		return Config{}, err
	}
	options := weights.Options{
		DType: dtype, Ignore: d.Unused.Has,
		Progress: func(done, total int64) { req.Report("weights", done, total) },
	}
	if backends.Describe(backend) == backends.XLACPU {
		// XLA's CPU backend transposes a weight [out, in] in every product, which took a quarter of
		// the time of a step of generation (docs/benchmarks.md).
		options.TransposedSuffix = layers.TransposedSuffix
	}
	store, err := folder.Load(ctx, backend, d.Tensors, options)
	if err != nil {
		return Config{}, err
	}
	id := req.ID
	if id == "" {
		id = filepath.Base(folder.Dir())
	}
	return Config{
		Spec: adapters.LanguageSpec{
			Spec: adapters.Spec{
				ID: id, Family: d.Family.Name, Width: d.Width, DType: dtype,
				Parameters: int64(store.NumParameters()), MemoryBytes: store.ByteSize(),
				Digest: digest, Backend: backends.Describe(backend), Source: folder.Dir(),
			},
			Architecture: d.Family.Architecture, ContextTokens: d.Context, Vocabulary: d.Vocabulary, EndOfAnswer: d.EndOfAnswer,
		},
		SpecialTokens: d.SpecialTokens, Defaults: d.Defaults, Tokenizer: d.Tokenizer, Network: d.Network,
		Store: store, Backend: backend, Embedding: d.Embedding, EmbeddingScale: d.EmbeddingScale,
	}, nil
}

// defaultDType returns the type of the weights and of the computation if the request
// names none: bfloat16 if the weights are bfloat16 and the backend computes in it, else
// float32.
//
// The Go backend cannot. Holding bfloat16 there and widening each weight where it is
// used would save nothing: the backend starts every operation as soon as its inputs
// are ready, so it would widen all weights at once, in every step.
func defaultDType(folder *weights.Folder, d Definition, backend string) adapters.DType {
	if backend == backends.Go {
		return adapters.Float32
	}
	for _, spec := range d.Tensors {
		if spec.Name != d.Embedding {
			continue
		}
		if _, t, ok := folder.Find(spec); ok && t.DType == safetensors.BF16 {
			return adapters.BFloat16
		}
	}
	return adapters.Float32
}
