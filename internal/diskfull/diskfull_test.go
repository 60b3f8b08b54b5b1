package diskfull

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestIs(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if err := fmt.Errorf("save: %w", &fs.PathError{Op: "write", Path: "x", Err: full}); !Is(err) {
			t.Errorf("%v is not recognized as a full disk", err)
		}
	}
	for _, other := range []error{nil, syscall.EACCES, errors.New("no space left on device")} {
		if Is(other) {
			t.Errorf("%v is recognized as a full disk", other)
		}
	}
}

func TestExplainGivesOneRemedy(t *testing.T) {
	inner := Explain(syscall.ENOSPC, "weights not written", "make room")
	got := Explain(fmt.Errorf("save: %w", inner), "checkpoint not written", "free disk space")
	want := "checkpoint not written: save: weights not written: no space left on device (free disk space)"
	if got.Error() != want || adapters.KindOf(got) != adapters.Exhausted || !Is(got) {
		t.Errorf("got %v of kind %v, want %q, exhausted", got, adapters.KindOf(got), want)
	}
	if strings.Contains(got.Error(), "make room") {
		t.Error("the error still has the inner remedy")
	}
}

func TestExplainReturnsOtherErrors(t *testing.T) {
	if got := Explain(syscall.EACCES, "checkpoint not written", "free disk space"); got != syscall.EACCES {
		t.Errorf("got %v, want the error itself", got)
	}
	if got := Explain(nil, "checkpoint not written", "free disk space"); got != nil {
		t.Errorf("got %v for no error", got)
	}
}
