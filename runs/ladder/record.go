package ladder

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
)

// Record is the result of one finished run.
type Record struct {
	recipes.MatrixRun
	Steps int `json:"steps"` // of the optimizer, warm-up of the projection included
	Batch int `json:"batch"` // examples of a step
	// Sets are the results by held-out data: data.eval first.
	Sets []Set `json:"sets"`
	// Before describes the start of the run: its result on data.eval before any step. It is nil
	// if the run did not measure it (evaluation.every).
	Before *Before `json:"before,omitempty"`
	Cost
}

// Set is the result of a run on one set of held-out data.
type Set struct {
	Name string  `json:"name"` // with a digest: "kit:report 1a2b3c4d"
	Loss float64 `json:"loss"` // nats per token, with the right picture
	// Exact has one bit for each captioned picture, in the order of the data: whether the
	// caption is exact.
	Exact Bits `json:"exact"`
}

// Before is the result of an evaluation before the first step.
type Before struct {
	Loss  float64  `json:"loss"`
	Exact *float64 `json:"exact_match,omitempty"` // nil if no captions were generated
}

// Examples returns the number of examples that the run trained on.
func (r Record) Examples() int { return r.Steps * r.Batch }

// set returns the results on the data with a name, and on data.eval if the name is empty. The
// name may lack the digest.
func (r Record) set(name string) (Set, error) {
	if name == "" && len(r.Sets) > 0 {
		return r.Sets[0], nil
	}
	var all []string
	for _, s := range r.Sets {
		if s.Name == name || strings.HasPrefix(s.Name, name+" ") {
			return s, nil
		}
		all = append(all, s.Name)
	}
	return Set{}, adapters.Errorf(adapters.NotFound, "%s was not measured on %q, only on %q", r.Name(), name, all).
		WithRemedy("name one of these, or train the run again with this held-out data")
}

// Bits is a list of yes and no. Its text has the number of bits and then, in hexadecimal, eight
// bits a byte, the first bit lowest: "3:05".
type Bits []bool

// MarshalText implements [encoding.TextMarshaler].
func (b Bits) MarshalText() ([]byte, error) {
	packed := make([]byte, (len(b)+7)/8)
	for i, yes := range b {
		if yes {
			packed[i/8] |= 1 << (i % 8)
		}
	}
	return []byte(strconv.Itoa(len(b)) + ":" + hex.EncodeToString(packed)), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *Bits) UnmarshalText(text []byte) error {
	count, digits, _ := strings.Cut(string(text), ":")
	n, err := strconv.Atoi(count)
	packed, hexErr := hex.DecodeString(digits)
	if err != nil || hexErr != nil || n < 0 || len(packed) != (n+7)/8 || n%8 != 0 && packed[n/8]>>(n%8) != 0 {
		return adapters.Errorf(adapters.Corrupt, `%q is not a list of bits, want their number and hexadecimal bytes, such as "3:05"`, text)
	}
	*b = make(Bits, n)
	for i := range *b {
		(*b)[i] = packed[i/8]>>(i%8)&1 == 1
	}
	return nil
}

// Share returns the share of yes, and 0 if there are no bits.
func (b Bits) Share() float64 {
	yes := 0
	for _, bit := range b {
		if bit {
			yes++
		}
	}
	return float64(yes) / float64(max(1, len(b)))
}
