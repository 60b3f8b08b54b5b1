package adapters_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestAnErrorGivesOneRemedy(t *testing.T) {
	cause := adapters.Errorf(adapters.Unsupported, "it is animated").WithRemedy("save its first picture")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"the cause knows best": {adapters.Errorf(adapters.Corrupt, "picture x: %w", cause).WithRemedy("replace the file"),
			"picture x: it is animated (save its first picture)"},
		"through another error": {adapters.Errorf(adapters.Corrupt, "picture x: %w", fmt.Errorf("read: %w", cause)).WithRemedy("replace the file"),
			"picture x: read: it is animated (save its first picture)"},
		"replaced": {adapters.Errorf(adapters.Corrupt, "picture x: %w", cause).ReplaceRemedy("replace the file"),
			"picture x: it is animated (replace the file)"},
		"quoted, not wrapped": {adapters.Errorf(adapters.Corrupt, "the first: %v", cause).WithRemedy("replace the file"),
			"the first: it is animated (replace the file)"},
		"in a remedy": {adapters.Errorf(adapters.Corrupt, "none").WithRemedy("the first: %v", cause),
			"none (the first: it is animated)"},
		"of several": {adapters.Errorf(adapters.Corrupt, "all: %w", errors.Join(cause, cause)).ReplaceRemedy("start again"),
			"all: it is animated\nit is animated\n(start again)"},
		"left out": {adapters.Errorf(adapters.Corrupt, "one: %w", adapters.WithoutRemedy(cause)).WithRemedy("start again"),
			"one: it is animated (start again)"},
		"as a field": {&adapters.Error{Message: "ended", Remedy: "start again", Err: cause}, "ended: it is animated (start again)"},
	} {
		if c.err.Error() != c.want || !errors.Is(c.err, error(cause)) && name != "quoted, not wrapped" && name != "in a remedy" {
			t.Errorf("%s: got %q, want %q", name, c.err, c.want)
		}
	}
}

// However errors are wrapped, one remedy is printed, at the end, and it is [adapters.RemedyOf].
func TestWrappedErrorsGiveOneRemedy(t *testing.T) {
	marks := regexp.MustCompile(`do-\d+`)
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 0))
		err := fs.ErrNotExist
		for depth := range 2 + rng.IntN(6) {
			wrapped := adapters.Errorf(adapters.Corrupt, "e%d: %w", depth, err)
			switch rng.IntN(6) {
			case 0:
				err = fmt.Errorf("f%d: %w", depth, err)
			case 1:
				err = wrapped.WithRemedy("do-%d", depth)
			case 2:
				err = wrapped.ReplaceRemedy("do-%d", depth)
			case 3:
				err = wrapped
			case 4:
				err = &adapters.Error{Message: "literal", Remedy: fmt.Sprintf("do-%d", depth), Err: err}
			case 5:
				err = wrapped.WithOp("load").WithField("x").WithRemedy("do-%d", depth)
			}
		}
		found := marks.FindAllString(err.Error(), -1)
		want := adapters.RemedyOf(err)
		if want == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || found[0] != want || !strings.HasSuffix(err.Error(), want+")") || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("seed %d: %q has the remedies %v, want %s once at the end", seed, err, found, want)
		}
		if bare := adapters.WithoutRemedy(err); marks.MatchString(bare.Error()) || adapters.RemedyOf(bare) != "" {
			t.Errorf("seed %d: %q without its remedy is %q", seed, err, bare)
		}
	}
}
