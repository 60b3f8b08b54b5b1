package adapters_test

import (
	"errors"
	"math"
	"slices"
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
		"min_new_tokens is 21, want at most max_new_tokens (20)":        {MinNewTokens: 21},
		"min_new_tokens is 5, want at most max_new_tokens (4)":          {MinNewTokens: 5, MaxNewTokens: 4},
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

func TestTextsThatAreNoUTF8AreRefused(t *testing.T) {
	broken, fine := "a\xed\xa0\x80", []adapters.Segment{adapters.TextSegment("a")}
	inSegment := []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment(broken)}}}
	for name, err := range map[string]error{
		"a segment":          (&adapters.LossRequest{Examples: inSegment}).Check(adapters.LanguageSpec{}),
		"a segment, asked":   (&adapters.GenerateRequest{Examples: inSegment}).Check(adapters.LanguageSpec{}),
		"a target":           (&adapters.LossRequest{Examples: []adapters.Example{{Segments: fine, Target: broken}}}).Check(adapters.LanguageSpec{}),
		"a candidate":        (&adapters.ScoreRequest{Examples: []adapters.Example{{Segments: fine}}, Candidates: [][]string{{broken}}}).Check(adapters.LanguageSpec{}),
		"a scored example's": (&adapters.ScoreRequest{Examples: inSegment, Candidates: [][]string{{"a"}}}).Check(adapters.LanguageSpec{}),
	} {
		if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%s: got %v", name, err)
		}
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

func TestWhatIsWrongIsNamed(t *testing.T) {
	spec := adapters.LanguageSpec{Spec: adapters.Spec{ID: "m", Width: 4, Capabilities: []adapters.Capability{adapters.CapGradient}}}
	text := []adapters.Segment{adapters.TextSegment("a")}
	two := adapters.NewTensor(adapters.Float32, 2, 3, 4)
	for field, check := range map[string]error{
		"examples":                (&adapters.LossRequest{}).Check(spec),
		"examples[1].segments":    (&adapters.LossRequest{Examples: []adapters.Example{{Segments: text}, {}}}).Check(spec),
		"examples[0].segments[1]": (&adapters.LossRequest{Prompts: two, Examples: []adapters.Example{{Segments: append(text, adapters.PromptSegment(2))}}}).Check(spec),
		"prompts":                 (&adapters.GenerateRequest{Prompts: adapters.NewTensor(adapters.Float32, 2, 3, 5), Examples: []adapters.Example{{Segments: text}}}).Check(spec),
		"options.top_p":           (&adapters.GenerateRequest{Examples: []adapters.Example{{Segments: text}}, Options: adapters.GenerateOptions{TopP: 2}}).Check(spec),
		"candidates[1]":           (&adapters.ScoreRequest{Examples: make([]adapters.Example, 2), Candidates: [][]string{{"a"}, {}}}).Check(spec),
		"examples[0].target":      (&adapters.LossRequest{Examples: []adapters.Example{{Segments: text, Target: "\xff"}}}).Check(spec),
		"candidates[0][1]":        (&adapters.ScoreRequest{Examples: make([]adapters.Example, 1), Candidates: [][]string{{"a", "\xff"}}}).Check(spec),
		"images":                  (&adapters.EncodeRequest{}).Check(adapters.VisionSpec{}),
	} {
		var e *adapters.Error
		if !errors.As(check, &e) || e.Field != field || !strings.Contains(e.Error(), field) {
			t.Errorf("got %+v, want the field %q", e, field)
		}
	}
	if text := adapters.Errorf(adapters.Invalid, "prompts is gone").WithField("prompts").WithRemedy("send it").Error(); text != "prompts is gone (send it)" {
		t.Errorf("a field that the message names is said twice: %q", text)
	}
}

// Losses and gradients are divided by the counts of tokens: what cannot be one is refused.
func TestCountsOfTokensAreChecked(t *testing.T) {
	spec := adapters.LanguageSpec{ContextTokens: 100}
	loss := func(tokens int32) error {
		return (&adapters.LossResponse{Loss: []float32{1}, Tokens: []int32{tokens}}).Check(spec, &adapters.LossRequest{Examples: make([]adapters.Example, 1)})
	}
	generated := func(tokens int32) error {
		return (&adapters.GenerateResponse{Texts: []string{""}, Tokens: []int32{tokens}}).Check(&adapters.GenerateRequest{Examples: make([]adapters.Example, 1)})
	}
	for want, err := range map[string]error{
		"": errors.Join(loss(1), loss(100), generated(0), generated(20)),
		"tokens[0] is 0, want the number of target tokens, the end included: at least 1 and at most 100": loss(0),
		"tokens[0] is -5, want":                                loss(-5),
		"tokens[0] is 101, want":                               loss(101),
		"tokens[0] is -1, want the number of generated tokens": generated(-1),
	} {
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A request that a model cannot serve is refused by the name of the capability, with a remedy.
func TestCapabilitiesOfGenerationAreNamed(t *testing.T) {
	examples := []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("a")}}}
	for want, req := range map[adapters.Capability]adapters.GenerateRequest{
		adapters.CapRowOptions: {Rows: []adapters.GenerateOptions{{MaxNewTokens: 3}}},
		adapters.CapCancelRows: {Cancel: make(chan int)},
		adapters.CapStop:       {Options: adapters.GenerateOptions{Stop: []string{"."}}},
		adapters.CapLogProbs:   {Options: adapters.GenerateOptions{LogProbs: true, TopLogProbs: 2}},
	} {
		req.Examples = examples
		all := adapters.LanguageSpec{Spec: adapters.Spec{ID: "m", Capabilities: adapters.LanguageCapabilities()}}
		if err := req.Check(all); err != nil {
			t.Errorf("%s: refused by a model that has it: %v", want, err)
		}
		without := all
		without.Capabilities = slices.DeleteFunc(adapters.LanguageCapabilities(), func(c adapters.Capability) bool { return c == want })
		var e *adapters.Error
		if err := req.Check(without); !errors.As(err, &e) || e.Kind != adapters.Unsupported || e.Remedy == "" || e.Field == "" ||
			!strings.Contains(e.Message, "m ") || !strings.Contains(e.Message, string(want)) {
			t.Errorf("%s: got %+v, want an unsupported request that names it, a field and a remedy", want, e)
		}
	}
}

func TestRowsAreChecked(t *testing.T) {
	spec := adapters.LanguageSpec{Spec: adapters.Spec{ID: "m", Capabilities: adapters.LanguageCapabilities()}}
	two := make([]adapters.Example, 2)
	for i := range two {
		two[i].Segments = []adapters.Segment{adapters.TextSegment("a")}
	}
	for field, req := range map[string]adapters.GenerateRequest{
		"rows":                  {Rows: make([]adapters.GenerateOptions, 1)},
		"rows[1].top_p":         {Rows: []adapters.GenerateOptions{{}, {TopP: 2}}},
		"rows[0].stop[1]":       {Rows: []adapters.GenerateOptions{{Stop: []string{"a", ""}}, {}}},
		"rows[0].stop[0]":       {Rows: []adapters.GenerateOptions{{Stop: []string{"\xff"}}, {}}},
		"rows[1].copy":          {Rows: []adapters.GenerateOptions{{}, {Copy: -1}}},
		"options.copy":          {Options: adapters.GenerateOptions{Copy: 1}},
		"options.top_log_probs": {Options: adapters.GenerateOptions{LogProbs: true, TopLogProbs: 21}},
		"rows[1].top_log_probs": {Rows: []adapters.GenerateOptions{{}, {TopLogProbs: 1}}},
		"rows[1].log_probs":     {Rows: []adapters.GenerateOptions{{}, {LogProbs: true, NumBeams: 2}}},
	} {
		req.Examples = two
		var e *adapters.Error
		if err := req.Check(spec); !errors.As(err, &e) || e.Field != field {
			t.Errorf("got %+v, want the field %q", e, field)
		}
	}
}

func TestResponsesToGenerateAreChecked(t *testing.T) {
	req := &adapters.GenerateRequest{Examples: make([]adapters.Example, 1), Options: adapters.GenerateOptions{LogProbs: true, TopLogProbs: 1}}
	tokens := func(of ...adapters.TokenLogProb) [][]adapters.TokenLogProb { return [][]adapters.TokenLogProb{of} }
	token := adapters.TokenLogProb{LogProb: -1}
	for want, r := range map[string]adapters.GenerateResponse{
		"":                                  {LogProbs: tokens(token), InputTokens: []int32{0}, Finish: []adapters.FinishReason{adapters.FinishEnd}},
		"response has no log_probs":         {},
		"log_probs[0] has 2 tokens":         {LogProbs: tokens(token, token)},
		"the log-probability of the token":  {LogProbs: tokens(adapters.TokenLogProb{LogProb: 2})},
		"a token has the log-probabilities": {LogProbs: tokens(adapters.TokenLogProb{Top: make([]adapters.TokenLogProb, 2)})},
		"input_tokens[0] is -1":             {LogProbs: tokens(token), InputTokens: []int32{-1}},
		"response has 0 counts of input":    {LogProbs: tokens(token), Finish: make([]adapters.FinishReason, 2)},
	} {
		r.Texts, r.Tokens = []string{"a"}, []int32{1}
		err := r.Check(req)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
