package wholelines

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestOf(t *testing.T) {
	for text, want := range map[string][]string{"": nil, "a": nil, "a\n": {"a\n"}, "a\n\nb\nc": {"a\n", "\n", "b\n"}} {
		var got []string
		for line, err := range Of(strings.NewReader(text)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestErrorsEndTheLines(t *testing.T) {
	broken := errors.New("broken")
	var errs []error
	for _, err := range Of(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken))) {
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], broken) {
		t.Errorf("got %v, want a line and the error", errs)
	}
}
