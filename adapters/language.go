package adapters

import (
	"context"
	"fmt"
)

// LanguageModel is a frozen language model that reads soft prompts beside text.
// It takes text, never token ids: the tokenizer belongs to the model. The exact
// sequence that it builds (bos, joining of texts, end-of-answer token) is what
// docs/contract.md says, the same for every adapter.
type LanguageModel interface {
	// Spec describes the model. It never changes while the model is open.
	Spec() LanguageSpec

	// Loss scores each example's target and, if asked, returns the gradient of
	// the summed loss by the soft prompts.
	Loss(ctx context.Context, req *LossRequest) (*LossResponse, error)

	// Generate continues each example. Where emit is not nil it is called, in
	// one goroutine, with pieces of text as they come; an error that it returns
	// ends the call.
	Generate(ctx context.Context, req *GenerateRequest, emit func(Piece) error) (*GenerateResponse, error)

	// Close frees the model. Calls after Close fail.
	Close() error
}

// Segment is a part of an example's input: a text, or a soft prompt.
type Segment struct {
	Text   string
	Prompt int // index into M where IsPrompt
	// IsPrompt distinguishes the prompt 0 from a text.
	IsPrompt bool
}

// TextSegment returns a segment that holds text.
func TextSegment(text string) Segment { return Segment{Text: text} }

// PromptSegment returns a segment that stands for soft prompt i.
func PromptSegment(i int) Segment { return Segment{Prompt: i, IsPrompt: true} }

// Example is an input and, in [LanguageModel.Loss], what should follow it.
// Strings are used as given: nothing is stripped, nothing inserted.
type Example struct {
	Segments []Segment
	Target   string
}

// LossRequest asks for losses.
type LossRequest struct {
	// Prompts is float32[M, Q, D] or bfloat16[M, Q, D]; nil where no segment
	// is a prompt.
	Prompts  *Tensor
	Examples []Example
	// Gradient asks for the gradient by Prompts ([CapGradient]).
	Gradient bool
}

// LossResponse holds losses.
type LossResponse struct {
	Loss   []float32 // [B] sum over the target's tokens of −log p, in nats
	Tokens []int32   // [B] number of those tokens, the end token included
	// Gradient is float32[M, Q, D], ∂(Σ Loss)/∂Prompts; nil unless asked.
	Gradient *Tensor
}

// GenerateRequest asks for text.
type GenerateRequest struct {
	Prompts  *Tensor // as in [LossRequest]
	Examples []Example
	Options  GenerateOptions
}

// GenerateOptions steer generation, with transformers' meaning. The zero value is greedy
// search with at most 20 new tokens.
type GenerateOptions struct {
	MaxNewTokens      int           // 0 means 20
	MinNewTokens      int           //
	NumBeams          int           // 0 or 1 is greedy or sampling
	LengthPenalty     *float64      // beam search only; nil means 1
	EarlyStopping     EarlyStopping // beam search only
	RepetitionPenalty float64       // 0 means 1 (none)
	Sample            bool
	Temperature       float64 // 0 means 1
	TopK              int     // 0 means all tokens; the command line sends 50 by default
	TopP              float64 // 0 means 1
	Seed              uint64  // of the sampling
}

// EarlyStopping says when a beam search of k beams has found its answer, beside
// the time when all beams have reached the most tokens. The values cross the
// process boundary.
type EarlyStopping uint8

// The values of transformers' early_stopping.
const (
	// EarlyStoppingFalse ends once there are k finished answers and the best
	// running one, were it to end at its present length, would be none of the
	// best k.
	EarlyStoppingFalse EarlyStopping = iota
	// EarlyStoppingTrue ends with the k-th finished answer, too.
	EarlyStoppingTrue
	// EarlyStoppingNever is like EarlyStoppingFalse, but with a positive length
	// penalty takes the best running answer to be as long as it may become.
	EarlyStoppingNever
)

// String returns transformers' name of the value.
func (e EarlyStopping) String() string {
	switch e {
	case EarlyStoppingFalse:
		return "false"
	case EarlyStoppingTrue:
		return "true"
	case EarlyStoppingNever:
		return "never"
	}
	return fmt.Sprintf("EarlyStopping(%d)", uint8(e))
}

// ParseEarlyStopping reads what [EarlyStopping.String] writes.
func ParseEarlyStopping(name string) (EarlyStopping, error) {
	for e := EarlyStoppingFalse; e <= EarlyStoppingNever; e++ {
		if e.String() == name {
			return e, nil
		}
	}
	return 0, Errorf(Invalid, "early_stopping is %q, want true, false or never", name)
}

// Piece is a part of an answer, as it is streamed.
type Piece struct {
	Example int // index into the request's examples
	Text    string
}

// GenerateResponse holds answers.
type GenerateResponse struct {
	// Texts is [B]: the answers without special tokens, outer white space
	// trimmed, the end-of-answer token not part of them.
	Texts  []string
	Tokens []int32 // [B] number of generated tokens, the end token included
}

// Scorer is a language model that can rank candidate answers.
type Scorer interface {
	// Score returns, per example and candidate, the summed log-probability of
	// the candidate's tokens after the example's segments, end token included.
	Score(ctx context.Context, req *ScoreRequest) (*ScoreResponse, error)
}

// ScoreRequest asks for the scores of candidate answers. The examples' targets
// are not used.
type ScoreRequest struct {
	Prompts    *Tensor
	Examples   []Example
	Candidates [][]string // per example; all of one length C
}

// ScoreResponse holds scores.
type ScoreResponse struct {
	Scores *Tensor // float32[B, C]
}

// TokenEmbedder is a language model that shows its token embeddings, for warm
// starts of a projection.
type TokenEmbedder interface {
	EmbedTokens(ctx context.Context, req *EmbedTokensRequest) (*EmbedTokensResponse, error)
}

// EmbedTokensRequest asks for token embeddings.
type EmbedTokensRequest struct {
	// Texts are tokenized each on its own, without special tokens. Where there
	// are none, the whole vocabulary is returned: every token that stands for
	// plain text.
	Texts []string
}

// EmbedTokensResponse holds token embeddings.
type EmbedTokensResponse struct {
	// Surfaces is, per row, the text that the token stands for, a leading
	// space where it starts a word: comparable between vocabularies.
	Surfaces []string
	// Counts is the number of rows of each text; nil for the vocabulary.
	Counts []int32
	// Embeddings is float32[T, D], as soft prompts would enter the model.
	Embeddings *Tensor
}

// TokenCounter is a language model that counts tokens.
type TokenCounter interface {
	CountTokens(ctx context.Context, texts []string) ([]int32, error)
}

// AsScorer returns m as a [Scorer] if its spec says that it is one.
func AsScorer(m LanguageModel) (Scorer, bool) { return capability[Scorer](m, CapScore) }

// AsTokenEmbedder returns m as a [TokenEmbedder] if its spec says so.
func AsTokenEmbedder(m LanguageModel) (TokenEmbedder, bool) {
	return capability[TokenEmbedder](m, CapEmbedTokens)
}

// AsTokenCounter returns m as a [TokenCounter] if its spec says so.
func AsTokenCounter(m LanguageModel) (TokenCounter, bool) {
	return capability[TokenCounter](m, CapCountTokens)
}

// capability needs both: a client of a plugin has every method, its spec says
// which of them the plugin behind it serves.
func capability[T any](m LanguageModel, c Capability) (T, bool) {
	t, ok := m.(T)
	return t, ok && m.Spec().Has(c)
}
