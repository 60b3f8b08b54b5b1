package adapters_test

import (
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestWrongOptionsAreNamed(t *testing.T) {
	examples := []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("a")}}}
	inf := math.Inf(1)
	for want, o := range map[string]adapters.GenerateOptions{
		"max_new_tokens is -5, want":                                    {MaxNewTokens: -5},
		"min_new_tokens is -1, want":                                    {MinNewTokens: -1},
		"num_beams is -1, want":                                         {NumBeams: -1},
		"repetition_penalty is -0.5, want":                              {RepetitionPenalty: -0.5},
		"temperature is NaN, want":                                      {Temperature: math.NaN()},
		"length_penalty is +Inf, want a finite number":                  {LengthPenalty: &inf},
		"early_stopping is EarlyStopping(3), want true, false or never": {EarlyStopping: 3},
		"repetition_penalty is +Inf, want":                              {RepetitionPenalty: inf},
		"top_k is -2, want":                                             {TopK: -2},
		"top_p is 7, want between 0 and 1":                              {TopP: 7},
		"top_p is -0.1, want between 0 and 1":                           {TopP: -0.1},
		"repetition_penalty is NaN, want a number ":                     {RepetitionPenalty: math.NaN()},
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

func TestAnImageSizeThatIsNotTakenIsNamed(t *testing.T) {
	spec := adapters.VisionSpec{Spec: adapters.Spec{ID: "old"}, Image: adapters.ImageSpec{Width: 224, Height: 224}}
	for _, c := range []struct {
		size adapters.Size
		want string
	}{{adapters.Size{}, ""}, {adapters.Size{Width: 224, Height: 224}, ""}, {adapters.Size{Width: 336, Height: 336}, "old takes pictures of 224 by 224 pixels, 336 by 336"}} {
		err := (&adapters.LoadRequest{ImageSize: c.size}).CheckImageSize(spec)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.size, err, c.want)
		}
	}
}
