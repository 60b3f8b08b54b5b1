package conformance

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// need is something that a case needs the plugin to do. Each includes those before it.
type need int

const (
	needsNothing need = iota
	needsStart        // it starts
	needsLoad         // it loads the checkpoint
	needsPlain        // it answers the plainest call
	needsCall         // it answers a call for two, with a gradient if its spec names one
)

// failedNeeds records which needs the plugin does not meet at all, and which case has found
// that. Other cases with the same need are skipped. A case that hung may record late.
type failedNeeds struct {
	mu       sync.Mutex
	failedIn [needsCall + 1]string // the name of the case; empty if the need has not failed
	// worked records what has worked once. If it fails later, other cases still run.
	worked [needsCall + 1]bool
}

// fail records that the plugin does not meet a need, unless it has met it before.
func (l *failedNeeds) fail(n need, t T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := t.(*caseT); ok && !l.worked[n] && l.failedIn[n] == "" {
		l.failedIn[n] = c.name
	}
}

// pass records that the plugin meets a need.
func (l *failedNeeds) pass(n need) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worked[n] = true
}

// blocker returns the case whose failure prevents n: a failure of n itself or of a need
// before it. It is empty if there is none.
func (l *failedNeeds) blocker(n need) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.failedIn[:n+1] {
		if name != "" {
			return name
		}
	}
	return ""
}

// failure returns the case in which n itself failed, or an empty string.
func (l *failedNeeds) failure(n need) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failedIn[n]
}

// forceFail records that n failed in a case, even if it has worked before.
func (l *failedNeeds) forceFail(n need, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failedIn[n] == "" {
		l.failedIn[n] = name
	}
}

// caseT is the T of a case. It has the case's name, and advice that replaces the case's own
// "fix".
type caseT struct {
	T
	name string
	fix  atomic.Pointer[string]
}

// advise replaces the case's "fix", if that does not fit the failure.
func advise(t T, format string, args ...any) {
	if c, ok := t.(*caseT); ok {
		fix := fmt.Sprintf(format, args...)
		c.fix.Store(&fix)
	}
}

// adviseFrom advises the remedy of an error, or otherwise if it has none, and returns the
// error without the remedy. The remedy of a bug in the plugin only says that it is one, so
// otherwise replaces it, too.
func adviseFrom(t T, err error, otherwise string) error {
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

// What to do about a plugin that fails before the cases can say more.
const (
	fixEnded = "fix the error in its last lines, such as a missing package or an error at import; if there are none, " +
		"main has to call the SDK's serve, and nothing may end the program before that"
	fixSilent    = "load the model in Load, not before serve; import slow packages there, too"
	fixHandshake = "write the handshake as plugins/proto/README.md, Handshake, describes it; the SDKs do this"
	fixLoad      = "fix the plugin's load or the checkpoint, as the message says; --checkpoint DIR names the folder that it loads"
	fixOpen      = "fix the error in the message; `bridge plugin test PATH --run process` shows more"
)

// needsFailed returns the body of a case that is skipped because another one failed.
func needsFailed(name string) func(T) {
	return func(t T) { t.Skipf("%s", adaptertest.NeedsFailed(name)) }
}
