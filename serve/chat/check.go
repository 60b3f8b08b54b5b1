package chat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// check returns the first thing that is wrong with a request, or nil.
func (r *Request) check(l Limits) error {
	for _, check := range []func(Limits) *Error{r.checkRefused, r.checkNumbers, r.checkPenalties, r.checkTogether, r.checkStop, r.checkMessages} {
		if err := check(l); err != nil {
			return err
		}
	}
	return nil
}

// checkRefused returns an error for a field that no bridge can serve, unless its value asks for
// nothing.
func (r *Request) checkRefused(Limits) *Error {
	for _, f := range []struct {
		name    string
		got     jsontext.Value
		neutral []string // beside null
		why     string
	}{
		{"tools", r.Tools, []string{"[]"}, "a bridge calls no tools"},
		{"tool_choice", r.ToolChoice, []string{`"none"`, `"auto"`}, "a bridge calls no tools"},
		{"parallel_tool_calls", r.ParallelToolCalls, []string{"true", "false"}, "a bridge calls no tools"},
		{"functions", r.Functions, []string{"[]"}, "a bridge calls no functions"},
		{"function_call", r.FunctionCall, []string{`"none"`, `"auto"`}, "a bridge calls no functions"},
		{"response_format", r.ResponseFormat, []string{`{"type":"text"}`}, "answers are plain text"},
		{"frequency_penalty", r.FrequencyPenalty, []string{"0", "0.0"}, "there is repetition_penalty instead"},
		{"presence_penalty", r.PresencePenalty, []string{"0", "0.0"}, "there is repetition_penalty instead"},
		{"logit_bias", r.LogitBias, []string{"{}"}, "clients have no access to tokens"},
		{"modalities", r.Modalities, []string{`["text"]`}, "answers are plain text"},
		{"audio", r.Audio, nil, "answers are plain text"},
		{"prediction", r.Prediction, nil, "there is no predicted output"},
		{"web_search_options", r.WebSearchOptions, nil, "a bridge searches nothing"},
		{"reasoning_effort", r.ReasoningEffort, []string{`"none"`}, "a bridge does not reason apart from its answer"},
		{"verbosity", r.Verbosity, []string{`"medium"`}, "max_tokens bounds the answer"},
	} {
		if !neutral(f.got, f.neutral) {
			return unsupported(f.name, "%s is not supported: %s", f.name, f.why).WithRemedy("leave it out")
		}
	}
	return nil
}

// neutral reports whether a value is missing, null or one of those that ask for nothing.
func neutral(got jsontext.Value, values []string) bool {
	if len(got) == 0 || got.Kind() == 'n' {
		return true
	}
	compact := slices.Clone(got)
	_ = compact.Compact() // the decoder has checked the syntax
	return slices.Contains(values, string(compact))
}

// checkNumbers returns an error for a number out of range.
func (r *Request) checkNumbers(l Limits) *Error {
	return firstError(
		between("max_tokens", r.MaxTokens, 1, l.Tokens),
		between("max_completion_tokens", r.MaxCompletionTokens, 1, l.Tokens),
		between("min_tokens", r.MinTokens, 0, l.Tokens),
		between("n", r.N, 1, l.Answers),
		between("num_beams", r.NumBeams, 1, l.Beams),
		between("top_k", r.TopK, 0, 1<<30),
		between("top_logprobs", r.TopLogProbs, 0, adapters.MaxTopLogProbs),
		between("temperature", r.Temperature, 0, 2),
		between("top_p", r.TopP, 0, 1),
	)
}

// between returns an error for a value that is given and out of range.
func between[T int | float64](name string, got *T, least, most T) *Error {
	if got == nil || *got >= least && *got <= most {
		return nil
	}
	return Errorf(name, "%s is %v, want %v to %v", name, *got, least, most)
}

func firstError(errs ...*Error) *Error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPenalties returns an error for a penalty that is not a usable number.
func (r *Request) checkPenalties(Limits) *Error {
	return firstError(
		between("length_penalty", r.LengthPenalty, -10, 10),
		between("repetition_penalty", r.RepetitionPenalty, 0.01, 100),
		positive("top_p", r.TopP),
	)
}

func positive(name string, got *float64) *Error {
	if got == nil || *got > 0 {
		return nil
	}
	return Errorf(name, "%s is %v, want a number above 0", name, *got)
}

// checkTogether returns an error for fields that contradict each other.
func (r *Request) checkTogether(l Limits) *Error {
	switch o := r.Options(l, 0); {
	case r.MaxTokens != nil && r.MaxCompletionTokens != nil && *r.MaxTokens != *r.MaxCompletionTokens:
		return Errorf("max_tokens", "max_tokens is %d and max_completion_tokens %d, want one of them", *r.MaxTokens, *r.MaxCompletionTokens)
	case o.MinNewTokens > o.MaxNewTokens:
		return Errorf("min_tokens", "min_tokens is %d, want at most max_tokens (%d)", o.MinNewTokens, o.MaxNewTokens)
	case o.Sample && o.NumBeams > 1:
		return Errorf("num_beams", "num_beams %d cannot be combined with temperature %g", o.NumBeams, o.Temperature).
			WithRemedy("set temperature to 0, or num_beams to 1")
	case r.TopLogProbs != nil && *r.TopLogProbs > 0 && !r.LogProbs:
		return Errorf("top_logprobs", "top_logprobs is %d without logprobs", *r.TopLogProbs).WithRemedy("set logprobs to true")
	case r.LogProbs && o.NumBeams > 1:
		return unsupported("logprobs", "logprobs cannot be combined with num_beams %d", o.NumBeams).WithRemedy("set num_beams to 1")
	case r.StreamOptions != nil && !r.Stream:
		return Errorf("stream_options", "stream_options is given without stream").WithRemedy("set stream to true")
	}
	return nil
}

// checkStop returns an error for stop texts that cannot be used.
func (r *Request) checkStop(l Limits) *Error {
	if len(r.Stop) > l.Stops {
		return Errorf("stop", "stop has %d texts, want at most %d", len(r.Stop), l.Stops)
	}
	for i, text := range r.Stop {
		if text == "" || len(text) > maxStopBytes {
			return Errorf(fmt.Sprintf("stop[%d]", i), "stop text %d has %d bytes, want 1 to %d", i, len(text), maxStopBytes)
		}
	}
	return nil
}

// maxStopBytes bounds a stop text.
const maxStopBytes = 256

// checkMessages returns an error for a conversation that cannot be answered.
func (r *Request) checkMessages(l Limits) *Error {
	if r.Model == "" {
		return Errorf("model", "model is missing").WithRemedy("name one that GET /v1/models lists")
	}
	return CheckMessages(r.Messages, l)
}

// CheckMessages returns an error for messages that do not end with a user's turn, or are over the
// limits.
func CheckMessages(messages []Message, l Limits) *Error {
	switch n := len(messages); {
	case n == 0:
		return Errorf("messages", "messages is empty, want at least one")
	case n > l.Messages:
		return Errorf("messages", "messages has %d messages, want at most %d", n, l.Messages)
	}
	pictures, texts := 0, 0
	for i, m := range messages {
		at := fmt.Sprintf("messages[%d]", i)
		if err := m.check(at); err != nil {
			return err
		}
		for _, p := range m.Content {
			if p.Type == ImagePart {
				pictures++
			} else {
				texts += len(*p.Text)
			}
		}
	}
	switch last := messages[len(messages)-1]; {
	case pictures > l.Pictures:
		return Errorf("messages", "the messages have %d pictures, want at most %d", pictures, l.Pictures)
	case texts > l.TextBytes:
		return Errorf("messages", "the messages have %d bytes of text, want at most %d", texts, l.TextBytes).WithCode("context_length_exceeded")
	case last.Role == User && !slices.ContainsFunc(last.Content, Part.says):
		return Errorf(fmt.Sprintf("messages[%d].content", len(messages)-1), "the last message is empty, want a question or a picture")
	case last.Role != User:
		return Errorf(fmt.Sprintf("messages[%d].role", len(messages)-1), "the last message is of role %s, want user", last.Role)
	}
	return nil
}

// check returns an error for a message of the wrong form.
func (m Message) check(at string) *Error {
	switch m.Role {
	case System, Developer, User, Assistant:
	case "":
		return Errorf(at+".role", "%s.role is missing, want system, developer, user or assistant", at)
	case "tool", "function":
		return unsupported(at+".role", "%s.role is %s: a bridge calls no tools", at, m.Role)
	default:
		return Errorf(at+".role", "%s.role is %q, want system, developer, user or assistant", at, printable.Clip(string(m.Role), maxRepeated))
	}
	for _, f := range []struct {
		name string
		got  jsontext.Value
	}{{"refusal", m.Refusal}, {"audio", m.Audio}, {"tool_calls", m.ToolCalls}, {"tool_call_id", m.ToolCallID}, {"function_call", m.FunctionCall}} {
		if !neutral(f.got, []string{"[]", `""`}) {
			return unsupported(at+"."+f.name, "%s.%s is not supported", at, f.name).WithRemedy("leave it out")
		}
	}
	if len(m.Content) == 0 {
		return Errorf(at+".content", "%s.content is empty, want a text or a list of parts", at)
	}
	for i, p := range m.Content {
		if err := p.check(fmt.Sprintf("%s.content[%d]", at, i), m.Role); err != nil {
			return err
		}
	}
	return nil
}

// check returns an error for a part of the wrong form.
func (p Part) check(at string, role Role) *Error {
	switch p.Type {
	case TextPart:
		if p.Text == nil || p.ImageURL != nil {
			return Errorf(at, "%s is of type text, want the field text and no other", at)
		}
	case ImagePart:
		if p.ImageURL == nil || p.Text != nil {
			return Errorf(at, "%s is of type image_url, want the field image_url and no other", at)
		}
		if p.ImageURL.URL == "" {
			return Errorf(at+".image_url.url", "%s.image_url.url is missing", at)
		}
		if d := p.ImageURL.Detail; d != nil && !slices.Contains([]string{"auto", "low", "high"}, *d) {
			return Errorf(at+".image_url.detail", "%s.image_url.detail is %q, want auto, low or high", at, printable.Clip(*d, maxRepeated))
		}
		if role != User {
			return Errorf(at, "%s is a picture in a message of role %s, want role user", at, role)
		}
	case "":
		return Errorf(at+".type", "%s.type is missing, want text or image_url", at)
	default:
		return unsupported(at+".type", "%s.type is %q, want text or image_url", at, printable.Clip(string(p.Type), maxRepeated))
	}
	return nil
}

// says reports whether a part is a picture or a text that is not blank.
func (p Part) says() bool { return p.Type == ImagePart || !blank(*p.Text) }

// blank reports whether a text says nothing.
func blank(text string) bool { return strings.TrimSpace(text) == "" }
