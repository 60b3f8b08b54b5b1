package engine

import (
	"context"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/fleet"
)

// check returns an error for a request that the language model cannot serve, so that no batch
// fails because of it. It returns the number of tokens of the input, or 0 if the model does not
// count tokens. added is how many tokens the model adds to an input.
func (r *Request) check(ctx context.Context, added int) (tokens int, err error) {
	spec := r.Lease.Language.Spec()
	if err := checkOptions(spec, r.Rows); err != nil {
		return 0, err
	}
	if tokens, err = countTokens(ctx, r.Lease, r.Input); err != nil {
		return 0, err
	}
	most := 0
	for _, o := range r.Rows {
		most = max(most, o.MaxNewTokens)
	}
	return tokens, r.Input.checkLength(spec, tokens, added, most)
}

// checkOptions returns the error that the adapter would return for the options.
func checkOptions(spec adapters.LanguageSpec, rows []adapters.GenerateOptions) error {
	for _, o := range rows {
		o.Copy = 0
		alone := adapters.GenerateRequest{Options: o, Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("")}}}}
		if err := alone.Check(spec); err != nil {
			return err
		}
	}
	return nil
}

// countTokens returns how many tokens the language model reads, or 0 if it does not count them.
func countTokens(ctx context.Context, l *fleet.Lease, in Input) (int, error) {
	counter, ok := adapters.AsTokenCounter(l.Language)
	if !ok {
		return 0, nil
	}
	counts, err := counter.CountTokens(ctx, in.texts())
	if err != nil {
		return 0, err
	}
	total := len(in.Pictures) * l.Config().Queries
	for _, n := range counts {
		total += int(n)
	}
	return total, nil
}

// texts returns the texts between soft prompts; a model tokenizes each on its own.
func (in Input) texts() []string {
	var texts []string
	var b strings.Builder
	for _, s := range in.Segments {
		if !s.IsPrompt {
			b.WriteString(s.Text)
			continue
		}
		if b.Len() > 0 {
			texts = append(texts, b.String())
			b.Reset()
		}
	}
	return append(texts, b.String())
}

// checkLength returns an error if an input is longer than the server takes, or with what the model adds
// and its answer longer than the model reads.
func (in Input) checkLength(spec adapters.LanguageSpec, tokens, added, answer int) error {
	if in.Most > 0 && tokens > in.Most {
		return adapters.Errorf(adapters.Invalid, "the conversation takes %d tokens with its pictures, want at most %d", tokens, in.Most).
			WithField(ContextField).WithRemedy("shorten the conversation by %d tokens", tokens-in.Most)
	}
	tokens += added
	over := tokens + answer - 1 - spec.ContextTokens // the answer's last token is not read
	if spec.ContextTokens == 0 || over <= 0 {
		return nil
	}
	err := adapters.Errorf(adapters.Invalid, "the conversation takes %d tokens with its pictures, the answer up to %d: the model reads at most %d",
		tokens, answer, spec.ContextTokens).WithField(ContextField)
	if answer > over {
		return err.WithRemedy("shorten the conversation by %d tokens, or ask for at most %d", over, answer-over)
	}
	return err.WithRemedy("shorten the conversation by %d tokens", over)
}

// ContextField is the field of the error of a conversation that is too long.
const ContextField = "messages"
