package eval

import (
	"strings"

	"github.com/modular-bridging/bridge/eval/metrics"
)

// CIDErD is [metrics.CIDErD] of texts that are not tokenised: it puts them in lower case and
// splits them at white space. For texts without punctuation, as the kit's are, that equals the
// published metric; `bridge eval score captions` tokenises texts as pycocoevalcap does.
func CIDErD(got []string, references [][]string) (mean float64, each []float64) {
	lower := func(texts []string) []string {
		out := make([]string, len(texts))
		for i, text := range texts {
			out[i] = strings.ToLower(text)
		}
		return out
	}
	lowered := make([][]string, len(references))
	for i, texts := range references {
		lowered[i] = lower(texts)
	}
	return metrics.CIDErD(lower(got), lowered)
}

// MeanCIDErD returns the mean of [CIDErD].
func MeanCIDErD(got []string, references [][]string) float64 {
	mean, _ := CIDErD(got, references)
	return mean
}
