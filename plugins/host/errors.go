package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// ProcessError says in which plugin and call an error happened, and how the process
// ended. It is the cause of every [adapters.Error] that a plugin's adapter returns: find it
// with errors.As.
type ProcessError struct {
	Plugin  string   // the plugin's name in the host's configuration
	Version string   // as the plugin reports it; empty before it has
	RPC     string   // "Load", "Loss", …; "start" before there is a connection
	Exit    string   // "signal: killed", "exit status 2"; empty while the process runs
	Stderr  []string // the last lines
	Err     error    // the cause, if there is one

	fault   bool            // a bug of the plugin, which runs: its last lines belong to the text
	earlier []*ProcessError // earlier deaths at the same request
}

// Error names the plugin and the RPC. If the process has ended, it adds how, and the last
// lines on stderr; a bug of a plugin that runs also adds the lines. If the process died
// several times, it lists every death in order, and equal deaths once with their number.
func (e *ProcessError) Error() string {
	s := "plugin " + e.Plugin
	switch e.Version {
	case "":
	case wire.UnknownVersion:
		s += " of unknown version"
	default:
		s += " " + e.Version
	}
	all := append(slices.Clip(e.earlier), e)
	s += ", rpc " + all[0].RPC
	for begin, end := 0, 0; begin < len(all); begin = end {
		for end = begin + 1; end < len(all) && all[end].sameDeath(all[begin]); end++ {
		}
		if begin > 0 {
			s += "\nthen, rpc " + all[begin].RPC
		}
		s += all[begin].exitText(end - begin)
	}
	return s
}

// sameDeath reports whether two deaths have the same text.
func (e *ProcessError) sameDeath(o *ProcessError) bool {
	return e.RPC == o.RPC && e.exitText(1) == o.exitText(1)
}

// exitText says how the process ended, how many times, and its last lines on stderr.
func (e *ProcessError) exitText(times int) string {
	s := ""
	if e.Exit != "" {
		s += ": " + e.Exit
		if times > 1 {
			s += fmt.Sprintf(", %d times", times)
		}
		if e.Err != nil {
			s += ": " + e.Err.Error()
		}
	}
	if (e.Exit != "" || e.fault) && len(e.Stderr) > 0 {
		s += "; its last lines on stderr:\n\t" + strings.Join(e.Stderr, "\n\t")
	}
	return s
}

// remedy says what to do about a process that has ended, if nothing else does.
func (e *ProcessError) remedy() string {
	switch killed, spoke := e.Exit == "signal: killed", len(e.Stderr) > 0; {
	case killed && spoke:
		return "too little memory is the usual reason, if its last lines say no other"
	case killed:
		return "too little memory is the usual reason"
	case spoke:
		return "its last lines above say why"
	case e.RPC == "start":
		return "start the program by hand: a plugin of bridge prints that it is one"
	}
	return "it printed nothing: start it with BRIDGE_DEBUG=1 under a debugger, or let it print what it does"
}

// Unwrap returns the cause.
func (e *ProcessError) Unwrap() error { return e.Err }

// decodeFailure returns the error that the adapter returned in its process. The plugin's
// texts are sanitized.
func decodeFailure(f *pb.Failure, processErr *ProcessError) *adapters.Error {
	processErr.fault = adapters.Kind(min(f.Kind, 255)) == adapters.Internal
	return &adapters.Error{
		Kind: adapters.Kind(min(f.Kind, 255)), Err: processErr,
		Op: sanitize(f.Op), Message: sanitize(f.Message), Field: sanitize(f.Field), Remedy: sanitize(f.Remedy),
	}
}

// sanitize returns a text of the plugin without characters that a terminal obeys.
func sanitize(s string) string { return printable.Text(wire.ErrorText(s)) }

// contractError returns the error for a plugin whose answer breaks the protocol or the
// contract.
func contractError(op string, err error, processErr *ProcessError) *adapters.Error {
	processErr.fault = true
	return &adapters.Error{
		Kind: adapters.Internal, Op: op,
		Message: fmt.Sprintf("the plugin broke the contract: %v", err),
		Remedy:  "this is a bug in the plugin: report it to its author",
		Err:     processErr,
	}
}
