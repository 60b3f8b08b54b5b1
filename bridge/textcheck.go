package bridge

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// CheckPrompt returns an error of kind invalid if the language model cannot read a prompt
// for captions beside the soft prompts and an answer. It needs no picture. It cannot tell
// if the language model does not count tokens. If an encoder-decoder has no context limit, it
// logs a warning about a prompt that is longer than T5 was trained with.
func (m *Model) CheckPrompt(ctx context.Context, prompt string, o GenerateOptions) error {
	return m.checkText(ctx, "prompt", prompt, "", prompt, o)
}

// CheckQuestion is like [Model.CheckPrompt], for a question in its template.
func (m *Model) CheckQuestion(ctx context.Context, question string, o GenerateOptions) error {
	asked := func(q string) string { return textOf(m.Info.Templates.QuestionExample(0, q, "")) }
	return m.checkText(ctx, "question", question, asked(""), asked(question), o)
}

// trainedTokens is how many tokens T5 and FlanT5 were trained to read: n_positions in their
// config.json.
const trainedTokens = 512

// checkText checks a text that a person wrote. whole is the text in its template, and template is
// the template alone.
func (m *Model) checkText(ctx context.Context, what, text, template, whole string, o GenerateOptions) error {
	if !utf8.ValidString(text) {
		return adapters.Errorf(adapters.Invalid, "the %s %s is not valid UTF-8", what, printable.Quote(text)).WithRemedy("write it in UTF-8")
	}
	spec := m.Language.Spec()
	counter, ok := adapters.AsTokenCounter(m.Language)
	if !ok || spec.ContextTokens == 0 && spec.Architecture != adapters.EncoderDecoder {
		return nil
	}
	counts, err := counter.CountTokens(ctx, []string{whole, template})
	if err != nil {
		return err
	}
	tokens, own := int(counts[0]), int(counts[0]-counts[1])
	if spec.ContextTokens == 0 {
		m.warnOfLength(what, text, tokens)
		return nil
	}
	answer := o.MaxNewTokens
	if answer == 0 {
		answer = 20
	}
	queries := m.config.Queries
	if over := queries + tokens + answer - 1 - spec.ContextTokens; over > 0 { // the answer's last token is not read
		return adapters.Errorf(adapters.Invalid, "the %s %s takes %d tokens with its template, the picture %d, the answer up to %d: %s reads at most %d",
			what, printable.Quote(text), tokens, queries, answer, spec.ID, spec.ContextTokens).
			WithRemedy("%s", roomRemedy(what, own, answer, over))
	}
	return nil
}

// roomRemedy says what makes room if a text of own tokens and its answer are over by some
// tokens: only what suffices by itself, if anything does.
func roomRemedy(what string, own, answer, over int) string {
	shorten := fmt.Sprintf("shorten the %s by %d tokens", what, over)
	ask := fmt.Sprintf("ask for at most %d new tokens", answer-over)
	switch {
	case own > over && answer > over:
		return shorten + ", or " + ask
	case own > over:
		return shorten
	case answer > over:
		return ask
	}
	return fmt.Sprintf("shorten the %s and ask for fewer new tokens, %d tokens less in all", what, over)
}

// warnOfLength warns of a text that an encoder-decoder without a limit can read, but was not
// trained to.
func (m *Model) warnOfLength(what, text string, tokens int) {
	queries := m.config.Queries
	if m.Log == nil || queries+tokens+1 <= trainedTokens { // the end of the text is a token
		return
	}
	m.Log.Warn(fmt.Sprintf("the %s takes %d tokens with its template, the picture %d; models such as T5 were trained with %d in all, so the output may be slow to come and of no use",
		what, tokens, queries, trainedTokens), what, printable.Quote(text), "model", m.Language.Spec().ID)
}
