package chat

// Limits bound what a request may ask for.
type Limits struct {
	Tokens        int // of an answer
	DefaultTokens int // of an answer whose request does not say
	Answers       int // n
	Beams         int
	Messages      int
	Pictures      int // in all messages
	TextBytes     int // of all texts
	Stops         int
}

// DefaultLimits returns limits for a server that many share.
func DefaultLimits() Limits {
	return Limits{Tokens: 512, DefaultTokens: 20, Answers: 8, Beams: 8, Messages: 64, Pictures: 8, TextBytes: 64 << 10, Stops: 4}
}
