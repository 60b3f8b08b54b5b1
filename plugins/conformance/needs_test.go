package conformance

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// If a plugin cannot do something basic, one case reports it. The cases that need it are
// skipped and name that case; the others run.
func TestWhatFailsFirstIsSaidOnce(t *testing.T) {
	t.Parallel()
	const language, vision = adapters.KindLanguage, adapters.KindVision
	for name, c := range map[string]struct {
		mode    string
		kind    adapters.ModelKind
		run     string
		fails   []string
		message string // of the first
		fix     string // of the first, in place of the case's own; empty: its own
		skipped []string
		passed  []string
	}{
		"no start": {"lacks a package", language, ".", []string{"process: handshake"}, "No module named 'torch'", "fix the error in its last lines",
			[]string{"process: load", "process: leaks", "contract: spec, loaded again", "contract: closed"}, []string{"process: started by hand"}},
		"no start, for one case": {"lacks a package", vision, "^process: (load|stdout)$", []string{"process: load"}, "No module named 'torch'", "fix the error in its last lines",
			[]string{"process: stdout"}, nil},
		"no start, for the contract": {"lacks a package", vision, "^contract", []string{"contract: plain encode"}, "No module named 'torch'", "",
			[]string{"contract: spec", "contract: spec, loaded again", "contract: closed"}, nil},
		"no load": {"no load", language, ".", []string{"process: load"}, "TypeError: on purpose", "fix the plugin's load or the checkpoint",
			[]string{"process: plain call", "process: manifest", "process: a checkpoint that is not there", "process: one model a process", "process: the host dies", "contract: spec, loaded again", "contract: loss"},
			[]string{"process: handshake", "process: other versions of the protocol"}},
		"no load, and why": {"no load for want of a file", vision, "^process: load", []string{"process: load"}, "tokens.json is not there", "download it again", nil, nil},
		"no loss": {"no loss", language, ".", []string{"process: plain call"}, "TypeError: on purpose", "fix the error of your own code",
			[]string{"process: one model a process", "process: leaks", "process: handles that lie", "contract: plain loss", "contract: spec", "contract: unicode"},
			[]string{"process: handshake", "process: load", "process: the host dies", "contract: plain generate", "contract: spec, loaded again", "contract: generate", "contract: count tokens"}},
		"no loss, for the contract": {"no loss", language, "^contract", []string{"contract: plain loss"}, "TypeError: on purpose", "",
			[]string{"contract: spec", "contract: loss", "contract: closed"}, []string{"contract: plain generate", "contract: generate"}},
		"no gradient": {"no gradient", language, "^process", []string{"process: plain call"}, "and its gradient, gives", "",
			[]string{"process: leaks"}, []string{"process: load"}},
		"no answers": {"no answers", language, "^contract", []string{"contract: plain generate"}, "TypeError: on purpose", "",
			[]string{"contract: generate", "contract: generation: one token", "contract: emit ends the call"}, []string{"contract: loss", "contract: unicode"}},
		"no features": {"no features", vision, ".", []string{"process: plain call"}, "TypeError: on purpose", "",
			[]string{"process: leaks", "contract: plain encode", "contract: features", "contract: plain pictures"}, []string{"process: load", "contract: spec, loaded again"}},
		"no features, for the contract": {"no features", vision, "^contract", []string{"contract: plain encode"}, "TypeError: on purpose", "",
			[]string{"contract: features", "contract: plain pictures"}, []string{"contract: spec, loaded again"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			o.Run = regexp.MustCompile(c.run)
			r := examine(t, target(t, c.mode, c.kind), o)
			failed := names(r, adaptertest.Fail)
			if !slices.Equal(failed, c.fails) || r.OK() {
				t.Fatalf("%q fail, want %q", failed, c.fails)
			}
			first := r.Results[slices.IndexFunc(r.Results, func(r Result) bool { return r.Name == c.fails[0] })]
			if text := explanation(first); !strings.Contains(text, c.message) || !strings.Contains(text, "fix:   "+c.fix) {
				t.Errorf("want %q and the fix %q:\n%s", c.message, c.fix, text)
			}
			for _, is := range r.Results {
				if slices.Contains(c.skipped, is.Name) && (is.Verdict != adaptertest.Skip || is.Messages[0] != adaptertest.NeedsFailed(c.fails[0])) {
					t.Errorf("%s: %s, %q, want it skipped for %q", is.Name, is.Verdict, is.Messages, c.fails[0])
				}
			}
			for _, name := range append(c.skipped, c.passed...) {
				if !slices.ContainsFunc(r.Results, func(r Result) bool { return r.Name == name }) {
					t.Errorf("there is no case %s", name)
				}
			}
			for _, name := range c.passed {
				if !slices.Contains(names(r, adaptertest.Pass), name) {
					t.Errorf("%s does not pass", name)
				}
			}
		})
	}
}
