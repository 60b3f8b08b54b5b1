package adapters

import "slices"

// ModelKind is the contract that an adapter implements.
type ModelKind string

// The two kinds of frozen model.
const (
	KindVision   ModelKind = "vision-encoder"
	KindLanguage ModelKind = "language-model"
)

// Capability names something that only some language models can do.
type Capability string

// The optional capabilities.
const (
	CapGradient    Capability = "gradient"     // Loss can return the gradient by the soft prompts
	CapScore       Capability = "score"        // [Scorer]
	CapEmbedTokens Capability = "embed-tokens" // [TokenEmbedder]
	CapCountTokens Capability = "count-tokens" // [TokenCounter]
	CapRowOptions  Capability = "row-options"  // [GenerateRequest.Rows]
	CapCancelRows  Capability = "cancel-rows"  // [GenerateRequest.Cancel]
	CapStop        Capability = "stop-texts"   // [GenerateOptions.Stop]
	CapLogProbs    Capability = "log-probs"    // [GenerateOptions.LogProbs]
	CapTokenCounts Capability = "token-counts" // [GenerateResponse.InputTokens]
)

// LanguageCapabilities returns all optional capabilities.
func LanguageCapabilities() []Capability {
	return []Capability{
		CapGradient, CapScore, CapEmbedTokens, CapCountTokens,
		CapRowOptions, CapCancelRows, CapStop, CapLogProbs, CapTokenCounts,
	}
}

// Spec describes the model of any adapter.
type Spec struct {
	ID           string       // registry id or the checkpoint folder's name
	Family       string       // "vit", "opt", "t5", …
	Kind         ModelKind    //
	Width        int          // D: of the features, or of the soft prompts
	DType        DType        // of the computation
	Parameters   int64        // of the frozen model
	MemoryBytes  int64        // resident weights, an estimate
	Digest       string       // "sha256:…" over the weights, for caches and lock files
	Backend      string       // what computes: "go", "xla:cpu", …; empty if not GoMLX
	Capabilities []Capability //
	Source       string       // origin of the weights, for people
}

// Has reports whether the spec names the capability.
func (s Spec) Has(c Capability) bool { return slices.Contains(s.Capabilities, c) }

// VisionSpec is the spec of a [VisionEncoder].
type VisionSpec struct {
	Spec
	Tokens int       // N: feature tokens per picture, the class token included
	Patch  int       // pixels a side of a patch; 0 if pictures are not cut into patches
	Image  ImageSpec // how the host prepares pictures
	Layer  int       // hidden state that is returned, as transformers indexes hidden_states (−1 last)
}

// ImageSpec says how the host prepares a picture for an encoder.
type ImageSpec struct {
	Width, Height int
	Resample      string     // [Nearest], [Bilinear] or [Bicubic]
	Mode          string     // [Squash] or [ShortestEdgeCrop]
	ShortestEdge  int        // of [ShortestEdgeCrop], before the crop; 0 is the larger of Width and Height
	Mean, Std     [3]float32 // that the encoder applies to pixel/255; the host does not use them
}

// The values of [ImageSpec.Resample]: Pillow's filters.
const (
	Nearest  = "nearest"
	Bilinear = "bilinear"
	Bicubic  = "bicubic" // with a = -0.5
)

// The values of [ImageSpec.Mode].
const (
	// Squash resizes to Width by Height and ignores the aspect ratio (LAVIS, BLIP-2).
	Squash = "squash"
	// ShortestEdgeCrop resizes the shortest edge and crops the centre (CLIP).
	ShortestEdgeCrop = "shortest-edge-crop"
)

// Size returns the size of the prepared pictures.
func (s ImageSpec) Size() Size { return Size{Width: s.Width, Height: s.Height} }

// Architecture is the arrangement of a language model's input and target.
type Architecture string

// The two shapes of language model.
const (
	DecoderOnly    Architecture = "decoder-only"    // segments and target are one sequence
	EncoderDecoder Architecture = "encoder-decoder" // segments to the encoder, target to the decoder
)

// LanguageSpec is the spec of a [LanguageModel].
type LanguageSpec struct {
	Spec
	Architecture  Architecture
	ContextTokens int     // the longest sequence, prompts included; 0 if unbounded
	Vocabulary    int     // V: rows of the token embedding
	TokenNorm     float32 // mean L2 norm of the token embeddings: soft prompts start near it
	EndOfAnswer   string  // the token that ends an answer, for people: "\n", "</s>"
}
