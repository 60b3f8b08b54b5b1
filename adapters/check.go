package adapters

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Check verifies a request against the model's spec.
func (r *LossRequest) Check(spec LanguageSpec) error {
	if r.Gradient && !spec.Has(CapGradient) {
		return Errorf(Unsupported, "%s gives no gradient by the soft prompts", spec.ID).WithField("gradient").
			WithRemedy("train with a model that does; captioning and scoring work with this one")
	}
	if r.Gradient && r.Prompts == nil {
		return Errorf(Invalid, "a gradient by the soft prompts is asked for, but the request has none").WithField("prompts")
	}
	return checkInputs(spec, r.Prompts, r.Examples)
}

// Check verifies a response to req against the model's spec.
func (r *LossResponse) Check(spec LanguageSpec, req *LossRequest) error {
	if len(r.Loss) != len(req.Examples) || len(r.Tokens) != len(req.Examples) {
		return Errorf(Invalid, "response has %d losses and %d token counts for %d examples, want one of each for each example",
			len(r.Loss), len(r.Tokens), len(req.Examples))
	}
	for i, n := range r.Tokens { // what the loss and its gradient are divided by
		if n < 1 || spec.ContextTokens > 0 && int(n) > spec.ContextTokens {
			return Errorf(Invalid, "tokens[%d] is %d, want the number of target tokens, the end included: at least 1%s", i, n, atMost(spec.ContextTokens)).
				WithField("tokens[%d]", i)
		}
	}
	if !req.Gradient {
		return nil
	}
	return r.Gradient.Check("gradient", req.Prompts.Shape, Float32)
}

// Check verifies a request against the model's spec.
func (r *GenerateRequest) Check(spec LanguageSpec) error {
	if err := r.Options.check(); err != nil {
		return err
	}
	return checkInputs(spec, r.Prompts, r.Examples)
}

// check returns an error for options out of range, NaNs and infinities included.
func (o GenerateOptions) check() error {
	lengthPenalty := 1.0
	if o.LengthPenalty != nil {
		lengthPenalty = *o.LengthPenalty
	}
	for _, f := range []struct {
		name string
		got  any
		ok   bool
		want string
	}{
		{"max_new_tokens", o.MaxNewTokens, o.MaxNewTokens >= 0, "a count, or 0 for 20"},
		{"min_new_tokens", o.MinNewTokens, o.MinNewTokens >= 0, "a count"},
		{"num_beams", o.NumBeams, o.NumBeams >= 0, "a count, or 0 for no beam search"},
		{"length_penalty", lengthPenalty, lengthPenalty-lengthPenalty == 0, "a finite number"},
		{"early_stopping", o.EarlyStopping, o.EarlyStopping <= EarlyStoppingNever, "true, false or never"},
		{"repetition_penalty", o.RepetitionPenalty, o.RepetitionPenalty >= 0 && o.RepetitionPenalty <= math.MaxFloat32, "a number above 0, or 0 for none"},
		{"temperature", o.Temperature, o.Temperature >= 0 && o.Temperature <= math.MaxFloat32, "a number above 0, or 0 for 1"},
		{"top_k", o.TopK, o.TopK >= 0, "a count, or 0 for no limit"},
		{"top_p", o.TopP, o.TopP >= 0 && o.TopP <= 1, "between 0 and 1"},
	} {
		if !f.ok {
			return Errorf(Invalid, "%s is %v, want %s", f.name, f.got, f.want).WithField("options.%s", f.name)
		}
	}
	most := o.MaxNewTokens
	if most == 0 {
		most = 20
	}
	if o.MinNewTokens > most {
		return Errorf(Invalid, "min_new_tokens is %d, want at most max_new_tokens (%d)", o.MinNewTokens, most)
	}
	return nil
}

// Check verifies a response to req.
func (r *GenerateResponse) Check(req *GenerateRequest) error {
	if len(r.Texts) != len(req.Examples) || len(r.Tokens) != len(req.Examples) {
		return Errorf(Invalid, "response has %d texts and %d token counts for %d examples, want one of each for each example",
			len(r.Texts), len(r.Tokens), len(req.Examples))
	}
	for i, n := range r.Tokens {
		if n < 0 {
			return Errorf(Invalid, "tokens[%d] is %d, want the number of generated tokens", i, n).WithField("tokens[%d]", i)
		}
	}
	return nil
}

// atMost returns a text for an upper limit, empty if n is 0.
func atMost(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and at most %d", n)
}

// Check verifies a request against the model's spec.
func (r *ScoreRequest) Check(spec LanguageSpec) error {
	if len(r.Candidates) != len(r.Examples) {
		return Errorf(Invalid, "%d lists of candidates for %d examples", len(r.Candidates), len(r.Examples)).WithField("candidates")
	}
	for i, c := range r.Candidates {
		if len(c) == 0 || len(c) != len(r.Candidates[0]) {
			return Errorf(Invalid, "example %d has %d candidates, example 0 has %d; want one equal, positive number",
				i, len(c), len(r.Candidates[0])).WithField("candidates[%d]", i)
		}
		for j, text := range c {
			if err := checkText(text); err != nil {
				return err.WithField("candidates[%d][%d]", i, j)
			}
		}
	}
	return checkInputs(spec, r.Prompts, r.Examples)
}

// Check verifies a response to req.
func (r *ScoreResponse) Check(req *ScoreRequest) error {
	return r.Scores.Check("scores", []int{len(req.Examples), len(req.Candidates[0])}, Float32)
}

// Check verifies a response to req against the model's spec.
func (r *EmbedTokensResponse) Check(spec LanguageSpec, req *EmbedTokensRequest) error {
	if len(req.Texts) > 0 && len(r.Counts) != len(req.Texts) {
		return Errorf(Invalid, "response has %d counts for %d texts, want one for each", len(r.Counts), len(req.Texts))
	}
	return r.Embeddings.Check("embeddings", []int{len(r.Surfaces), spec.Width}, Float32)
}

func checkInputs(spec LanguageSpec, prompts *Tensor, examples []Example) error {
	if len(examples) == 0 {
		return Errorf(Invalid, "the request has no examples, want at least one").WithField("examples")
	}
	m := 0
	if prompts != nil {
		if err := prompts.Check("prompts", []int{-1, -1, spec.Width}, Float32, BFloat16); err != nil {
			return err
		}
		m = prompts.Shape[0]
	}
	for i, e := range examples {
		if len(e.Segments) == 0 {
			return Errorf(Invalid, "example %d has no segments, want at least one text or soft prompt", i).WithField("examples[%d].segments", i)
		}
		for j, s := range e.Segments {
			if s.IsPrompt && (s.Prompt < 0 || s.Prompt >= m) {
				return Errorf(Invalid, "example %d, segment %d names soft prompt %d, the request has %d", i, j, s.Prompt, m).
					WithField("examples[%d].segments[%d]", i, j)
			}
			if err := checkText(s.Text); err != nil {
				return err.WithField("examples[%d].segments[%d]", i, j)
			}
		}
		if err := checkText(e.Target); err != nil {
			return err.WithField("examples[%d].target", i)
		}
	}
	return nil
}

// checkText returns an error for a string that is not valid UTF-8, which no tokenizer can
// read.
func checkText(text string) *Error {
	if utf8.ValidString(text) {
		return nil
	}
	return Errorf(Invalid, "the text %q is not valid UTF-8", text)
}
