package adapters_test

import (
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestWrongOptionsAreNamed(t *testing.T) {
	examples := []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("a")}}}
	for want, o := range map[string]adapters.GenerateOptions{
		"max_new_tokens is -5, want":                {MaxNewTokens: -5},
		"min_new_tokens is -1, want":                {MinNewTokens: -1},
		"num_beams is -1, want":                     {NumBeams: -1},
		"repetition_penalty is -0.5, want":          {RepetitionPenalty: -0.5},
		"temperature is NaN, want":                  {Temperature: math.NaN()},
		"top_k is -2, want":                         {TopK: -2},
		"top_p is 7, want between 0 and 1":          {TopP: 7},
		"top_p is -0.1, want between 0 and 1":       {TopP: -0.1},
		"repetition_penalty is NaN, want a number ": {RepetitionPenalty: math.NaN()},
	} {
		err := (&adapters.GenerateRequest{Examples: examples, Options: o}).Check(adapters.LanguageSpec{})
		if adapters.KindOf(err) != adapters.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v of kind %v, want %q", err, adapters.KindOf(err), want)
		}
	}
	if err := (&adapters.GenerateRequest{Examples: examples}).Check(adapters.LanguageSpec{}); err != nil {
		t.Errorf("the zero options are refused: %v", err)
	}
}
