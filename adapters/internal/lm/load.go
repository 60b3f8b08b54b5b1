package lm

import (
	"context"
	"path/filepath"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/tokenizer"
)

// Family is what a family reads from a checkpoint folder's config.json and
// tokenizer.
type Family struct {
	Name        string
	Width       int // D
	Vocabulary  int // V
	Context     int // longest sequence, 0 if unbounded
	EndOfAnswer string
	Rules       Rules
	Tokenizer   *tokenizer.Tokenizer
	Network     Network
	Embedding   string // checkpoint name of the token embeddings
	// EmbeddingScale is what the network multiplies them by; 0 means 1.
	EmbeddingScale float64
	Wants          []weights.Want
	Ignore         func(name string) bool // weights that may be there and are not needed
	Activates      bool                   // the network computes the request's activation
}

// Load reads the weights of folder and returns the model. It owns f's
// tokenizer, also if it fails; the folder stays the caller's.
func Load(ctx context.Context, req *adapters.LoadRequest, folder *weights.Folder, f Family) (*Model, error) {
	config, err := load(ctx, req, folder, f)
	if err != nil {
		f.Tokenizer.Close()
		return nil, err
	}
	return New(config)
}

func load(ctx context.Context, req *adapters.LoadRequest, folder *weights.Folder, f Family) (Config, error) {
	if req.Activation != "" && !f.Activates {
		return Config{}, adapters.Errorf(adapters.Unsupported, "the activation %q in place of the checkpoint's own, which family %s cannot do", req.Activation, f.Name).
			WithRemedy("remove activation from the model's manifest")
	}
	backend, err := backends.Open(req.Backend)
	if err != nil {
		return Config{}, err
	}
	dtype := req.DType
	if dtype == adapters.InvalidDType {
		dtype = defaultDType(folder, f, backends.Describe(backend))
	}
	if dtype == adapters.BFloat16 && backends.Describe(backend) == backends.Go {
		// Measured with compute v0.1.3 and simd (AVX2): a batched product
		// [B, M, K] × [B, N, K] of bfloat16 is wrong from K = 16 on.
		return Config{}, adapters.Errorf(adapters.Unsupported, "bfloat16 on the Go backend, whose matrix products err in it").
			WithRemedy("compute in float32, or on an XLA backend")
	}
	digest, err := folder.Digest()
	if err != nil {
		return Config{}, err
	}
	store, err := folder.Load(ctx, backend, f.Wants, weights.Options{
		DType: dtype, Ignore: f.Ignore,
		Progress: func(done, total int64) { req.Report("weights", done, total) },
	})
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
				ID: id, Family: f.Name, Width: f.Width, DType: dtype,
				Parameters: int64(store.NumParameters()), MemoryBytes: store.ByteSize(),
				Digest: digest, Backend: backends.Describe(backend), Source: folder.Dir(),
			},
			ContextTokens: f.Context, Vocabulary: f.Vocabulary, EndOfAnswer: f.EndOfAnswer,
		},
		Rules: f.Rules, Tokenizer: f.Tokenizer, Network: f.Network,
		Store: store, Backend: backend, Embedding: f.Embedding, EmbeddingScale: f.EmbeddingScale,
	}, nil
}

// defaultDType is what a model is held and computed in where the request leaves
// it open: bfloat16 where its weights are and the backend can, else float32.
//
// The Go backend cannot. To hold bfloat16 there and widen a weight where it is
// used would save nothing: the backend starts every operation as soon as its
// inputs are there, and so would widen all weights at once, in every step.
func defaultDType(folder *weights.Folder, f Family, backend string) adapters.DType {
	if backend == backends.Go {
		return adapters.Float32
	}
	for _, w := range f.Wants {
		if w.Name != f.Embedding {
			continue
		}
		for _, name := range append([]string{w.Name}, w.Aliases...) {
			if t, ok := folder.Tensor(name); ok && t.DType == safetensors.BF16 {
				return adapters.BFloat16
			}
		}
	}
	return adapters.Float32
}
