package adapters

import (
	"context"
	"fmt"
)

// LanguageModel is a frozen language model that reads soft prompts beside text.
// It takes text, never token ids: the tokenizer belongs to the model. docs/contract.md
// defines the exact sequence that it builds (bos, joining of texts, end-of-answer token),
// which is the same for every adapter.
type LanguageModel interface {
	// Spec describes the model. It never changes while the model is open.
	Spec() LanguageSpec

	// Loss scores each example's target and, if requested, returns the gradient of the
	// summed loss by the soft prompts.
	Loss(ctx context.Context, req *LossRequest) (*LossResponse, error)

	// Generate continues each example. If emit is not nil, it is called in one goroutine
	// with pieces of text as they are generated. An error of emit ends the call.
	Generate(ctx context.Context, req *GenerateRequest, emit func(Piece) error) (*GenerateResponse, error)

	// Close frees the model. Calls after Close fail.
	Close() error
}

// Segment is a part of an example's input: a text, or a soft prompt.
type Segment struct {
	Text   string
	Prompt int // index into M if IsPrompt
	// IsPrompt distinguishes the prompt 0 from a text.
	IsPrompt bool
}

// TextSegment returns a segment that holds text.
func TextSegment(text string) Segment { return Segment{Text: text} }

// PromptSegment returns a segment that stands for soft prompt i.
func PromptSegment(i int) Segment { return Segment{Prompt: i, IsPrompt: true} }

// Example is an input and, for [LanguageModel.Loss], the target that should follow it.
// Strings are used as given: nothing is stripped or inserted.
type Example struct {
	Segments []Segment
	Target   string
}

// LossRequest is a request for losses.
type LossRequest struct {
	// Prompts is float32[M, Q, D] or bfloat16[M, Q, D]; nil if no segment is a prompt.
	Prompts  *Tensor
	Examples []Example
	// Gradient requests the gradient by Prompts ([CapGradient]).
	Gradient bool
}

// LossResponse holds losses.
type LossResponse struct {
	Loss   []float32 // [B] sum over the target's tokens of −log p, in nats
	Tokens []int32   // [B] number of those tokens, the end token included
	// Gradient is float32[M, Q, D], ∂(Σ Loss)/∂Prompts; nil unless requested.
	Gradient *Tensor
}

// GenerateRequest is a request for text.
type GenerateRequest struct {
	Prompts  *Tensor // as in [LossRequest]
	Examples []Example
	Options  GenerateOptions
	// Rows is [B], the options of each example in place of Options, or nil
	// ([CapRowOptions]). The answer of a row does not depend on the other rows.
	Rows []GenerateOptions
	// Cancel delivers the indices of examples whose answers nobody wants any more
	// ([CapCancelRows]). Such an answer ends where it is, with [FinishCanceled]; the others
	// go on. An index that is out of range or repeated has no effect. The callee may stop
	// receiving at any time: give the channel room for B indices.
	Cancel <-chan int
}

// RowOptions returns the options of example i.
func (r *GenerateRequest) RowOptions(i int) GenerateOptions {
	if r.Rows != nil {
		return r.Rows[i]
	}
	return r.Options
}

// GenerateOptions steer generation, with transformers' meaning. The zero value is greedy
// search with at most 20 new tokens. If the model's folder has defaults of its own
// (generation_config.json), they replace the meaning of a zero, except in EarlyStopping, Sample,
// TopK and Seed.
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

	// Copy distinguishes equal examples with one seed: sampling depends on the seed, the
	// example and Copy, never on the rest of the request. It is an option of Rows. Without
	// Rows the copy of an example is the number of equal ones before it.
	Copy int
	// Stop are texts that end an answer ([CapStop]). The answer ends before the first of
	// them that appears in it, and no part of it is streamed.
	Stop []string
	// LogProbs requests the log-probabilities of the generated tokens ([CapLogProbs]),
	// each with those of the TopLogProbs most probable tokens, at most [MaxTopLogProbs].
	// It excludes a beam search.
	LogProbs    bool
	TopLogProbs int
}

// MaxTopLogProbs bounds [GenerateOptions.TopLogProbs].
const MaxTopLogProbs = 20

// EarlyStopping decides when a beam search with k beams ends before all beams have the
// maximal number of tokens. The values cross the process boundary.
type EarlyStopping uint8

// The values of transformers' early_stopping.
const (
	// EarlyStoppingFalse ends once there are k finished answers and the best running one,
	// if it ended now, would not be among the best k.
	EarlyStoppingFalse EarlyStopping = iota
	// EarlyStoppingTrue also ends with the k-th finished answer.
	EarlyStoppingTrue
	// EarlyStoppingNever is like EarlyStoppingFalse, except that with a positive length
	// penalty it assumes the maximal length for the best running answer.
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

// ParseEarlyStopping parses the result of [EarlyStopping.String].
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
	// LogProbs are those of the tokens whose text the answer's pieces have completed with
	// this one, if they were asked for. Such a piece may have no text.
	LogProbs []TokenLogProb
}

// TokenLogProb is a generated token, or one that was probable in its place.
type TokenLogProb struct {
	Text string // of the token alone; a part of a character reads as U+FFFD; empty for a special token
	// Bytes are the token's part of the answer's UTF-8, so that characters that several
	// tokens make can be put together. It is nil if the adapter does not know them.
	Bytes []byte
	// LogProb is log p of the token after the input and the answer before it, in nats:
	// the log-softmax of the model's logits, before the repetition penalty, the minimal
	// length, the temperature, top-k and top-p change them.
	LogProb float32
	// Top are the most probable tokens, the most probable first. Their own Top is nil.
	Top []TokenLogProb
}

// FinishReason says why an answer ended. The values cross the process boundary: they are
// append-only.
type FinishReason uint8

// The reasons for the end of an answer.
const (
	FinishUnknown  FinishReason = iota // the adapter does not say
	FinishEnd                          // the model ended it: the end-of-answer token
	FinishStop                         // a text of [GenerateOptions.Stop]
	FinishLength                       // the maximal number of tokens
	FinishCanceled                     // [GenerateRequest.Cancel]
)

var finishNames = [...]string{"unknown", "end", "stop", "length", "canceled"}

// String returns the reason in one word.
func (f FinishReason) String() string {
	if int(f) < len(finishNames) {
		return finishNames[f]
	}
	return fmt.Sprintf("FinishReason(%d)", uint8(f))
}

// GenerateResponse holds answers.
type GenerateResponse struct {
	// Texts is [B]: the answers without special tokens, outer white space
	// trimmed, the end-of-answer token not part of them.
	Texts  []string
	Tokens []int32 // [B] number of generated tokens, the end token included
	// InputTokens is [B], the positions of each input: its tokens, those that the model
	// adds, and the rows of its soft prompts. It is nil without [CapTokenCounts].
	InputTokens []int32
	// Finish is [B]; nil if the adapter says nothing.
	Finish []FinishReason
	// LogProbs is [B][T]: of each answer's tokens in order, without the end token and
	// without tokens that begin at or after a stop text. A row that did not ask has none;
	// nil if no row did. The pieces of an answer have the same ones.
	LogProbs [][]TokenLogProb
}

// Scorer is a language model that can rank candidate answers.
type Scorer interface {
	// Score returns, per example and candidate, the summed log-probability of
	// the candidate's tokens after the example's segments, end token included.
	Score(ctx context.Context, req *ScoreRequest) (*ScoreResponse, error)
}

// ScoreRequest is a request for the scores of candidate answers. The examples' targets are
// not used.
type ScoreRequest struct {
	Prompts    *Tensor
	Examples   []Example
	Candidates [][]string // per example; all of one length C
}

// ScoreResponse holds scores.
type ScoreResponse struct {
	Scores *Tensor // float32[B, C]
}

// TokenEmbedder is a language model that exposes its token embeddings, to initialise a
// projection.
type TokenEmbedder interface {
	EmbedTokens(ctx context.Context, req *EmbedTokensRequest) (*EmbedTokensResponse, error)
}

// EmbedTokensRequest is a request for token embeddings.
type EmbedTokensRequest struct {
	// Texts are tokenized separately, without special tokens. Without texts the response
	// has the whole vocabulary: every token that stands for plain text.
	Texts []string
}

// EmbedTokensResponse holds token embeddings.
type EmbedTokensResponse struct {
	// Surfaces has the plain text of each row's token, with a leading space if the token
	// starts a word, so that vocabularies can be compared.
	Surfaces []string
	// Counts is the number of rows of each text; nil for the vocabulary.
	Counts []int32
	// Embeddings is float32[T, D], in the space of the soft prompts.
	Embeddings *Tensor
}

// TokenCounter is a language model that counts tokens.
type TokenCounter interface {
	CountTokens(ctx context.Context, texts []string) ([]int32, error)
}

// AsScorer returns m as a [Scorer] if its spec has the capability.
func AsScorer(m LanguageModel) (Scorer, bool) { return capability[Scorer](m, CapScore) }

// AsTokenEmbedder returns m as a [TokenEmbedder] if its spec has the capability.
func AsTokenEmbedder(m LanguageModel) (TokenEmbedder, bool) {
	return capability[TokenEmbedder](m, CapEmbedTokens)
}

// AsTokenCounter returns m as a [TokenCounter] if its spec has the capability.
func AsTokenCounter(m LanguageModel) (TokenCounter, bool) {
	return capability[TokenCounter](m, CapCountTokens)
}

// capability checks the type and the spec: a plugin's client has every method, and its spec
// lists those that the plugin serves.
func capability[T any](m LanguageModel, c Capability) (T, bool) {
	t, ok := m.(T)
	return t, ok && m.Spec().Has(c)
}
