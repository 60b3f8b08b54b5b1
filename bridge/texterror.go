package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// TextError is an error of a language model about the text of one example of a request. It
// has the kind and the remedy of its cause.
type TextError struct {
	Example int    // its index in the request
	Text    string // of the example: the segments' texts and the target
	Err     error
}

// Error returns the cause's message, after the text if the message lacks it.
func (e *TextError) Error() string {
	err := e.Err
	if a, ok := err.(*adapters.Error); ok && strings.HasPrefix(a.Field, "examples[") { // its place in the batch tells people nothing
		err = a.WithField("")
	}
	quoted := printable.Quote(e.Text)
	if strings.Contains(err.Error(), quoted) {
		return err.Error()
	}
	return fmt.Sprintf("the text %s: %v", quoted, err)
}

// Unwrap returns the cause.
func (e *TextError) Unwrap() error { return e.Err }

// BlameText returns err as a [TextError] if it is about the text of one example of a request
// for losses. The error's field names the example. If there is no field, BlameText tries
// each example alone. Any other error stays as it is.
func BlameText(ctx context.Context, lm adapters.LanguageModel, req *adapters.LossRequest, err error) error {
	if blamed := blameField(req.Examples, err); blamed != err || adapters.KindOf(err) != adapters.Invalid {
		return blamed
	}
	for i, e := range req.Examples {
		alone := adapters.LossRequest{Prompts: req.Prompts, Examples: []adapters.Example{e}}
		if _, again := lm.Loss(ctx, &alone); adapters.KindOf(again) == adapters.Invalid {
			return &TextError{Example: i, Text: textOf(e), Err: again}
		}
	}
	return err
}

// blameField returns err as a [TextError] if its field names one of the examples, or if
// there is one example alone.
func blameField(examples []adapters.Example, err error) error {
	var e *adapters.Error
	if !errors.As(err, &e) || e.Kind != adapters.Invalid {
		return err
	}
	i := -1
	if n, _ := fmt.Sscanf(e.Field, "examples[%d]", &i); n != 1 && len(examples) == 1 {
		i = 0
	}
	if i < 0 || i >= len(examples) {
		return err
	}
	return &TextError{Example: i, Text: textOf(examples[i]), Err: err}
}

// textOf returns all text of an example.
func textOf(e adapters.Example) string {
	var b strings.Builder
	for _, s := range e.Segments {
		b.WriteString(s.Text)
	}
	b.WriteString(e.Target)
	return b.String()
}
