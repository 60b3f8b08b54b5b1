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
	if err := r.checkRows(spec); err != nil {
		return err
	}
	if r.Cancel != nil && !spec.Has(CapCancelRows) {
		return lacks(spec, CapCancelRows, "cannot give up single answers of a request").WithField("cancel").
			WithRemedy("send the request without a channel for them, or cancel the whole call")
	}
	return checkInputs(spec, r.Prompts, r.Examples)
}

// checkRows verifies the options of every example.
func (r *GenerateRequest) checkRows(spec LanguageSpec) error {
	if r.Rows == nil {
		if r.Options.Copy != 0 {
			return Errorf(Invalid, "copy is %d in the options of all examples, want 0: equal examples are counted", r.Options.Copy).
				WithField("options.copy").WithRemedy("give each example its own options in rows")
		}
		return r.Options.check(spec, "options")
	}
	if !spec.Has(CapRowOptions) {
		return lacks(spec, CapRowOptions, "takes one set of options a request").WithField("rows").
			WithRemedy("send the examples of each set of options in a request of their own")
	}
	if len(r.Rows) != len(r.Examples) {
		return Errorf(Invalid, "rows has the options of %d examples, the request has %d; want one of each for each example",
			len(r.Rows), len(r.Examples)).WithField("rows")
	}
	for i, o := range r.Rows {
		if err := o.check(spec, fmt.Sprintf("rows[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

// lacks returns the error for a request that needs a capability that spec does not name.
func lacks(spec LanguageSpec, c Capability, what string) *Error {
	return Errorf(Unsupported, "%s %s (capability %s)", spec.ID, what, c)
}

// check returns an error for options out of range or beyond the model's capabilities. Field
// is the options' place in the request.
func (o GenerateOptions) check(spec LanguageSpec, field string) error {
	if err := o.checkNumbers(field); err != nil {
		return err
	}
	return o.checkTexts(spec, field)
}

// checkTexts verifies the stop texts and what is asked for about tokens.
func (o GenerateOptions) checkTexts(spec LanguageSpec, field string) error {
	if len(o.Stop) > 0 && !spec.Has(CapStop) {
		return lacks(spec, CapStop, "cannot end an answer at a text").WithField("%s.stop", field).
			WithRemedy("ask without stop texts, and cut the answer")
	}
	for i, text := range o.Stop {
		if text == "" {
			return Errorf(Invalid, "stop text %d is empty, want at least one character", i).WithField("%s.stop[%d]", field, i)
		}
		if err := checkText(text); err != nil {
			return err.WithField("%s.stop[%d]", field, i)
		}
	}
	switch {
	case !o.LogProbs && o.TopLogProbs != 0:
		return Errorf(Invalid, "top_log_probs is %d without log_probs, want 0", o.TopLogProbs).WithField("%s.top_log_probs", field).
			WithRemedy("set log_probs too")
	case !o.LogProbs:
		return nil
	case !spec.Has(CapLogProbs):
		return lacks(spec, CapLogProbs, "gives no log-probabilities of generated tokens").WithField("%s.log_probs", field).
			WithRemedy("ask without them")
	case o.NumBeams > 1:
		return Errorf(Unsupported, "log_probs with num_beams %d is not supported, only with one", o.NumBeams).WithField("%s.log_probs", field).
			WithRemedy("ask with num_beams 1, or without log_probs")
	}
	return nil
}

// checkNumbers returns an error for numbers out of range, NaNs and infinities included.
func (o GenerateOptions) checkNumbers(field string) error {
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
		{"copy", o.Copy, o.Copy >= 0, "a count"},
		{"top_log_probs", o.TopLogProbs, o.TopLogProbs >= 0 && o.TopLogProbs <= MaxTopLogProbs, fmt.Sprintf("a count, at most %d", MaxTopLogProbs)},
	} {
		if !f.ok {
			return Errorf(Invalid, "%s is %v, want %s", f.name, f.got, f.want).WithField("%s.%s", field, f.name)
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
	if r.InputTokens != nil && len(r.InputTokens) != len(req.Examples) || r.Finish != nil && len(r.Finish) != len(req.Examples) {
		return Errorf(Invalid, "response has %d counts of input tokens and %d finish reasons for %d examples, want one of each for each example, or none",
			len(r.InputTokens), len(r.Finish), len(req.Examples))
	}
	for i, n := range r.InputTokens {
		if n < 0 {
			return Errorf(Invalid, "input_tokens[%d] is %d, want the number of positions of the input", i, n).WithField("input_tokens[%d]", i)
		}
	}
	return r.checkLogProbs(req)
}

// checkLogProbs verifies that the examples that asked have log-probabilities, and no others.
func (r *GenerateResponse) checkLogProbs(req *GenerateRequest) error {
	for i := range req.Examples {
		o := req.RowOptions(i)
		if r.LogProbs == nil {
			if o.LogProbs {
				return Errorf(Invalid, "response has no log_probs, example %d asks for them", i).WithField("log_probs")
			}
			continue
		}
		if len(r.LogProbs) != len(req.Examples) {
			return Errorf(Invalid, "response has log_probs of %d examples, the request has %d", len(r.LogProbs), len(req.Examples)).WithField("log_probs")
		}
		most := int(r.Tokens[i])
		if !o.LogProbs {
			most = 0
		}
		if n := len(r.LogProbs[i]); n > most {
			return Errorf(Invalid, "log_probs[%d] has %d tokens, want at most %d", i, n, most).WithField("log_probs[%d]", i)
		}
		for j, t := range r.LogProbs[i] {
			if err := t.check(o.TopLogProbs); err != nil {
				return err.WithField("log_probs[%d][%d]", i, j)
			}
		}
	}
	return nil
}

// check returns an error unless t has a log-probability, and top others.
func (t TokenLogProb) check(top int) *Error {
	if len(t.Top) > top {
		return Errorf(Invalid, "a token has the log-probabilities of %d others, want at most %d", len(t.Top), top)
	}
	for _, p := range append([]TokenLogProb{t}, t.Top...) {
		if !(p.LogProb <= 1e-3) { // room for rounding
			return Errorf(Invalid, "the log-probability of the token %q is %v, want at most 0", p.Text, p.LogProb)
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
