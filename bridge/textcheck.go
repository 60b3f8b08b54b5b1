package bridge

import (
	"context"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// CheckPrompt returns an error of kind invalid if the language model cannot read a prompt
// for captions beside the soft prompts and an answer. It needs no picture. It cannot tell
// if the language model does not count tokens.
func (m *Model) CheckPrompt(ctx context.Context, prompt string, o GenerateOptions) error {
	return m.checkText(ctx, "prompt", prompt, prompt, o)
}

// CheckQuestion is like [Model.CheckPrompt], for a question in its template.
func (m *Model) CheckQuestion(ctx context.Context, question string, o GenerateOptions) error {
	asked := m.Info.Templates.QuestionExample(0, question, "")
	return m.checkText(ctx, "question", question, textOf(asked), o)
}

// checkText checks a text that a person wrote; whole has the template around it.
func (m *Model) checkText(ctx context.Context, what, text, whole string, o GenerateOptions) error {
	if !utf8.ValidString(text) {
		return adapters.Errorf(adapters.Invalid, "the %s %s is not valid UTF-8", what, printable.Quote(text)).WithRemedy("write it in UTF-8")
	}
	spec := m.Language.Spec()
	counter, ok := adapters.AsTokenCounter(m.Language)
	if spec.ContextTokens == 0 || !ok {
		return nil
	}
	counts, err := counter.CountTokens(ctx, []string{whole})
	if err != nil {
		return err
	}
	answer := o.MaxNewTokens
	if answer == 0 {
		answer = 20
	}
	queries := m.config.Queries
	if over := queries + int(counts[0]) + answer - 1 - spec.ContextTokens; over > 0 { // the answer's last token is not read
		return adapters.Errorf(adapters.Invalid, "the %s %s takes %d tokens with its template, the picture %d, the answer up to %d: %s reads at most %d",
			what, printable.Quote(text), counts[0], queries, answer, spec.ID, spec.ContextTokens).
			WithRemedy("shorten the %s by %d tokens, or ask for fewer new tokens", what, over)
	}
	return nil
}
