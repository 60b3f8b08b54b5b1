package chat

import "math"

// GroundingRequest is the body of POST /v1/grounding.
type GroundingRequest struct {
	Model    string    `json:"model"`
	Messages []Message `json:"messages"` // up to the question; with at least one picture
	Answer   string    `json:"answer"`
	Other    *ImageURL `json:"other"` // the other picture; nil: one of the kit
}

// Grounding is the answer: how likely the answer is with the pictures of the conversation, with
// another one in their place, and with none.
type Grounding struct {
	Object  string   `json:"object"` // "grounding"
	Model   string   `json:"model"`
	Tokens  int      `json:"tokens"`  // of the answer, its end included
	Picture PerToken `json:"picture"` // with the conversation's pictures
	Other   PerToken `json:"other"`
	None    PerToken `json:"none"`
	Gauge   float64  `json:"gauge"` // see [Gauge]
}

// PerToken is the mean log-probability of an answer's tokens.
type PerToken struct {
	LogProb     float64 `json:"logprob"`     // nats
	Probability float64 `json:"probability"` // exp of it: the geometric mean
}

// NewGrounding returns the answer for mean log-probabilities.
func NewGrounding(model string, tokens int, right, other, none float64) Grounding {
	per := func(p float64) PerToken {
		p = max(p, -9999) // JSON has no infinity
		return PerToken{LogProb: p, Probability: math.Exp(p)}
	}
	return Grounding{Object: "grounding", Model: model, Tokens: tokens, Picture: per(right), Other: per(other), None: per(none), Gauge: Gauge(right, other, none)}
}

// Gauge says in [0, 1] how much an answer's tokens owe to the picture: 1 − p/p₀, where p₀ is their
// mean probability with the picture and p the better one of those with another picture and with
// none. It is 0 if the answer is as likely without the picture.
func Gauge(right, other, none float64) float64 {
	g := 1 - math.Exp(max(other, none)-right)
	if math.IsNaN(g) {
		return 0
	}
	return min(max(g, 0), 1)
}

// maxAnswerBytes bounds the answer of a grounding request.
const maxAnswerBytes = 16 << 10

// ParseGrounding reads and checks the body of POST /v1/grounding. An error is an [*Error].
func ParseGrounding(body []byte, l Limits) (*GroundingRequest, error) {
	r := &GroundingRequest{}
	if err := Decode(body, r); err != nil {
		return nil, err
	}
	switch {
	case r.Model == "":
		return nil, Errorf("model", "model is missing").WithRemedy("name one that GET /v1/models lists")
	case blank(r.Answer):
		return nil, Errorf("answer", "answer is empty, want the text to judge")
	case len(r.Answer) > maxAnswerBytes:
		return nil, Errorf("answer", "answer has %d bytes, want at most %d", len(r.Answer), maxAnswerBytes)
	case r.Other != nil && r.Other.URL == "":
		return nil, Errorf("other.url", "other.url is missing")
	}
	if err := CheckMessages(r.Messages, l); err != nil {
		return nil, err
	}
	for _, m := range r.Messages {
		for _, p := range m.Content {
			if p.Type == ImagePart {
				return r, nil
			}
		}
	}
	return nil, Errorf("messages", "the messages have no picture, want at least one")
}
