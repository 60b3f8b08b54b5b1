package chat

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/modular-bridging/bridge/adapters"
)

// Request is the body of POST /v1/chat/completions. A pointer that is nil means that the client
// did not give the value.
type Request struct {
	Model               string         `json:"model"`
	Messages            []Message      `json:"messages"`
	Stream              bool           `json:"stream"`
	StreamOptions       *StreamOptions `json:"stream_options"`
	MaxTokens           *int           `json:"max_tokens"`            // the older name of the next one
	MaxCompletionTokens *int           `json:"max_completion_tokens"` // of an answer
	Temperature         *float64       `json:"temperature"`           // 0 or none is greedy
	TopP                *float64       `json:"top_p"`
	Seed                *int64         `json:"seed"`
	Stop                Stop           `json:"stop"`
	N                   *int           `json:"n"` // answers
	LogProbs            bool           `json:"logprobs"`
	TopLogProbs         *int           `json:"top_logprobs"`

	// What follows is not OpenAI's. The names are vLLM's where it has them.
	TopK              *int     `json:"top_k"`
	MinTokens         *int     `json:"min_tokens"`
	NumBeams          *int     `json:"num_beams"`
	LengthPenalty     *float64 `json:"length_penalty"`
	RepetitionPenalty *float64 `json:"repetition_penalty"`

	Refused
	Ignored
}

// StreamOptions are the options of a streamed answer.
type StreamOptions struct {
	IncludeUsage bool `json:"include_usage"`
	// IncludeObfuscation is accepted and has no effect: chunks are not padded.
	IncludeObfuscation *bool `json:"include_obfuscation"`
}

// Refused are fields that no bridge can serve. A value that asks for nothing is accepted.
type Refused struct {
	Tools             jsontext.Value `json:"tools"`
	ToolChoice        jsontext.Value `json:"tool_choice"`
	ParallelToolCalls jsontext.Value `json:"parallel_tool_calls"`
	Functions         jsontext.Value `json:"functions"`
	FunctionCall      jsontext.Value `json:"function_call"`
	ResponseFormat    jsontext.Value `json:"response_format"`
	FrequencyPenalty  jsontext.Value `json:"frequency_penalty"`
	PresencePenalty   jsontext.Value `json:"presence_penalty"`
	LogitBias         jsontext.Value `json:"logit_bias"`
	Modalities        jsontext.Value `json:"modalities"`
	Audio             jsontext.Value `json:"audio"`
	Prediction        jsontext.Value `json:"prediction"`
	WebSearchOptions  jsontext.Value `json:"web_search_options"`
	ReasoningEffort   jsontext.Value `json:"reasoning_effort"`
	Verbosity         jsontext.Value `json:"verbosity"`
}

// Ignored are fields that change no answer.
type Ignored struct {
	User             jsontext.Value `json:"user"`
	Metadata         jsontext.Value `json:"metadata"`
	Store            jsontext.Value `json:"store"`
	ServiceTier      jsontext.Value `json:"service_tier"`
	SafetyIdentifier jsontext.Value `json:"safety_identifier"`
	PromptCacheKey   jsontext.Value `json:"prompt_cache_key"`
	PromptCacheTime  jsontext.Value `json:"prompt_cache_retention"`
}

// Message is a turn of a conversation.
type Message struct {
	Role    Role    `json:"role"`
	Content Content `json:"content"`
	Name    *string `json:"name"` // ignored

	// OpenAI's answers have these, and clients send them back. Only empty ones are accepted.
	Refusal      jsontext.Value `json:"refusal"`
	Annotations  jsontext.Value `json:"annotations"`
	Audio        jsontext.Value `json:"audio"`
	ToolCalls    jsontext.Value `json:"tool_calls"`
	ToolCallID   jsontext.Value `json:"tool_call_id"`
	FunctionCall jsontext.Value `json:"function_call"`
}

// Role says who wrote a message.
type Role string

// The roles that a message may have. Developer means the same as System.
const (
	System    Role = "system"
	Developer Role = "developer"
	User      Role = "user"
	Assistant Role = "assistant"
)

// Content is the content of a message: a text on the wire, or a list of parts.
type Content []Part

// Part is a text or a picture.
type Part struct {
	Type     PartType  `json:"type"`
	Text     *string   `json:"text"`
	ImageURL *ImageURL `json:"image_url"`
}

// PartType says what a part is.
type PartType string

// The types of parts.
const (
	TextPart  PartType = "text"
	ImagePart PartType = "image_url"
)

// ImageURL is a picture: a data URL, a URL of a host that the server allows, or a picture of the
// kit ("kit:held-out/17").
type ImageURL struct {
	URL string `json:"url"`
	// Detail is auto, low or high, and has no effect: the encoder decides on the size.
	Detail *string `json:"detail"`
}

// UnmarshalJSONFrom reads a text, a list of parts or null.
func (c *Content) UnmarshalJSONFrom(dec *jsontext.Decoder) (err error) {
	*c, err = textOrList(dec, func(text string) Part { return Part{Type: TextPart, Text: &text} })
	return err
}

// MarshalJSONTo writes the parts.
func (c Content) MarshalJSONTo(enc *jsontext.Encoder) error {
	return json.MarshalEncode(enc, []Part(c))
}

// Stop are texts that end an answer: one text on the wire, or a list.
type Stop []string

// UnmarshalJSONFrom reads a text, a list of texts or null.
func (s *Stop) UnmarshalJSONFrom(dec *jsontext.Decoder) (err error) {
	*s, err = textOrList(dec, func(text string) string { return text })
	return err
}

// textOrList reads a list, one text in the place of a list, or null. of makes an element of the text.
func textOrList[T any](dec *jsontext.Decoder, of func(text string) T) (list []T, err error) {
	switch dec.PeekKind() {
	case 'n':
		return nil, dec.SkipValue()
	case '"':
		var text string
		if err := json.UnmarshalDecode(dec, &text); err != nil {
			return nil, err
		}
		return []T{of(text)}, nil
	}
	err = json.UnmarshalDecode(dec, &list)
	return list, err
}

// Options returns the options of the request's answers, which are those of `bridge ask` unless the
// request says otherwise. seed is for a request without one.
func (r *Request) Options(l Limits, seed uint64) adapters.GenerateOptions {
	o := adapters.GenerateOptions{MaxNewTokens: l.DefaultTokens, TopK: defaultTopK, LengthPenalty: r.LengthPenalty, Stop: r.Stop, LogProbs: r.LogProbs}
	set(&o.MaxNewTokens, r.MaxTokens)
	set(&o.MaxNewTokens, r.MaxCompletionTokens)
	set(&o.MinNewTokens, r.MinTokens)
	set(&o.NumBeams, r.NumBeams)
	set(&o.RepetitionPenalty, r.RepetitionPenalty)
	set(&o.TopLogProbs, r.TopLogProbs)
	if r.Temperature != nil && *r.Temperature > 0 {
		o.Sample, o.Temperature, o.Seed = true, *r.Temperature, seed
		set(&o.TopK, r.TopK)
		set(&o.TopP, r.TopP)
		if r.Seed != nil {
			o.Seed = uint64(*r.Seed)
		}
	}
	return o
}

// defaultTopK is the number of likeliest tokens that are sampled from, as on the command line.
const defaultTopK = 50

// Answers returns how many answers the request asks for.
func (r *Request) Answers() int {
	n := 1
	set(&n, r.N)
	return n
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
