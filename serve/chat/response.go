package chat

import (
	"math"

	"github.com/modular-bridging/bridge/adapters"
)

// Completion is a whole answer.
type Completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"` // "chat.completion"
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []Choice `json:"choices"`
	Usage   Usage    `json:"usage"`
}

// Choice is one of the n answers.
type Choice struct {
	Index        int       `json:"index"`
	Message      Answer    `json:"message"`
	LogProbs     *LogProbs `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
}

// Answer is a message of the assistant.
type Answer struct {
	Role    Role    `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"` // always null
}

// Chunk is a part of a streamed answer.
type Chunk struct {
	ID      string        `json:"id"`
	Object  string        `json:"object"` // "chat.completion.chunk"
	Created int64         `json:"created"`
	Model   string        `json:"model"`
	Choices []ChunkChoice `json:"choices"`
	// Usage is nil, or a *Usage that is null in all chunks but the last.
	Usage any `json:"usage,omitzero"`
}

// ChunkChoice is a part of one of the n answers.
type ChunkChoice struct {
	Index        int       `json:"index"`
	Delta        Delta     `json:"delta"`
	LogProbs     *LogProbs `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// Delta is the part of an answer that a chunk adds.
type Delta struct {
	Role    Role    `json:"role,omitempty"`
	Content *string `json:"content,omitzero"`
}

// Usage counts tokens.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"` // rows of soft prompts included
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// LogProbs are the log-probabilities of an answer's tokens.
type LogProbs struct {
	Content []TokenLogProb `json:"content"`
	Refusal *string        `json:"refusal"` // always null
}

// TokenLogProb is a token with its log-probability.
type TokenLogProb struct {
	Token       string       `json:"token"`
	LogProb     float64      `json:"logprob"`
	Bytes       []int        `json:"bytes"` // null if the model does not say
	TopLogProbs []TopLogProb `json:"top_logprobs"`
}

// TopLogProb is a token that was probable in a place.
type TopLogProb struct {
	Token   string  `json:"token"`
	LogProb float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// NewLogProbs returns the log-probabilities of tokens on the wire.
func NewLogProbs(tokens []adapters.TokenLogProb) *LogProbs {
	l := &LogProbs{Content: make([]TokenLogProb, len(tokens))}
	for i, t := range tokens {
		out := TokenLogProb{Token: t.Text, LogProb: finite(t.LogProb), Bytes: byteValues(t.Bytes), TopLogProbs: make([]TopLogProb, len(t.Top))}
		for j, top := range t.Top {
			out.TopLogProbs[j] = TopLogProb{Token: top.Text, LogProb: finite(top.LogProb), Bytes: byteValues(top.Bytes)}
		}
		l.Content[i] = out
	}
	return l
}

// finite returns a log-probability that JSON can hold. OpenAI writes −9999 for one that is too
// small.
func finite(p float32) float64 {
	if math.IsInf(float64(p), 0) {
		return -9999
	}
	return min(float64(p), 0)
}

func byteValues(b []byte) []int {
	if b == nil {
		return nil
	}
	values := make([]int, len(b))
	for i, v := range b {
		values[i] = int(v)
	}
	return values
}

// FinishReason returns OpenAI's word for the end of an answer of n tokens, of at most most.
func FinishReason(f adapters.FinishReason, n, most int) string {
	if f == adapters.FinishLength || f == adapters.FinishUnknown && n >= most {
		return "length"
	}
	return "stop"
}
