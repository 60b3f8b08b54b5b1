package conformance

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// need is what a case of the process needs of the plugin; each includes those before.
type need int

const (
	needsNothing need = iota
	needsStart        // that it starts
	needsLoad         // that it loads the checkpoint
	needsPlain        // that it answers the plainest call
	needsCall         // that it answers a call for two, with a gradient where it names one
)

// lost notes what the plugin turned out not to do at all, and the case that says so:
// the others that need it are skipped. A case that hung may note it late.
type lost struct {
	mu sync.Mutex
	by [needsCall + 1]string // the name of the case; empty where nothing failed
	// did says what has worked once: what fails later is no reason to give up.
	did [needsCall + 1]bool
}

// fails notes that the plugin does not do something, unless it has done it before.
func (l *lost) fails(n need, t T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j, ok := t.(*judged); ok && !l.did[n] && l.by[n] == "" {
		l.by[n] = j.name
	}
}

// works notes that the plugin does something.
func (l *lost) works(n need) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.did[n] = true
}

// blames names the case whose failure takes what n needs; empty where there is none.
func (l *lost) blames(n need) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.by[:n+1] {
		if name != "" {
			return name
		}
	}
	return ""
}

// only names the case whose failure takes n itself.
func (l *lost) only(n need) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.by[n]
}

// take notes that a case has found n to be lost, whatever worked before.
func (l *lost) take(n need, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[n] == "" {
		l.by[n] = name
	}
}

// judged is the T of a case: it knows the case's name, and what to advise in place of
// the case's own "fix".
type judged struct {
	T
	name string
	fix  atomic.Pointer[string]
}

// advise says how to mend what the case fails with, where its own "fix" does not fit.
func advise(t T, format string, args ...any) {
	if j, ok := t.(*judged); ok {
		fix := fmt.Sprintf(format, args...)
		j.fix.Store(&fix)
	}
}

// adviseOf advises the remedy of an error, or else, and returns the error without it.
// Of a bug in the plugin the remedy says no more than that it is one.
func adviseOf(t T, err error, otherwise string) error {
	var e *adapters.Error
	if !errors.As(err, &e) || e.Remedy == "" {
		advise(t, "%s", otherwise)
		return err
	}
	if e.Kind == adapters.Internal {
		advise(t, "%s", otherwise)
	} else {
		advise(t, "%s", e.Remedy)
	}
	if err == error(e) {
		return e.WithRemedy("")
	}
	return err
}

// What to do about a plugin that does not come so far that its cases say anything.
const (
	fixEnded = "fix the error in its last lines, such as a missing package or an error at import; if there are none, " +
		"main has to call the SDK's serve, and nothing may end the program before that"
	fixSilent    = "load the model in Load, not before serve; import slow packages there, too"
	fixHandshake = "write the handshake as plugins/proto/README.md, Handshake, describes it; the SDKs do this"
	fixLoad      = "fix the plugin's load or the checkpoint, as the message says; --checkpoint DIR names the folder that it loads"
	fixOpen      = "fix the error in the message; `bridge plugin test PATH --run process` shows more"
)

// needsFailed is the reason of a case that is not run.
func needsFailed(name string) func(T) {
	return func(t T) { t.Skipf("%s", adaptertest.NeedsFailed(name)) }
}
