package homepath_test

import (
	"testing"

	"github.com/modular-bridging/bridge/internal/homepath"
)

func TestAdvice(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for path, want := range map[string]string{
		"~": `"/home/me"`, "~/": `"/home/me"`, "~/a b/c": `"/home/me/a b/c"`, "~you/a": "the whole path",
		"": "", "a/~": "", "./~": "", "~a": "", "a~/b": "", "/~/a": "",
	} {
		if got, found := homepath.Advice(path); got != want || found != (want != "") {
			t.Errorf("%q: %q, %v; want %q", path, got, found, want)
		}
	}
}
