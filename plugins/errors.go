package plugins

import (
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// ProcessError is the part of an error that only the process boundary knows. It
// is the cause of every [adapters.Error] that a plugin's adapter returns: find
// it with errors.As.
type ProcessError struct {
	Plugin  string   // the plugin's name as the host knows it
	Version string   // as the plugin says; empty before it has said so
	RPC     string   // "Load", "Loss", …; "start" before there is a connection
	Exit    string   // "signal: killed", "exit status 2"; empty while it runs
	Stderr  []string // its last lines
	Err     error    // the cause, where there is one

	fault  bool            // of the plugin, though it runs: what it said last belongs to the text
	before []*ProcessError // earlier deaths at the same request
}

// Error names the plugin and the RPC; for a process that has ended also how, and
// what it said last, which a bug of one that runs calls for too. Where it died more
// than once, it tells every death, in their order, and the same one once.
func (e *ProcessError) Error() string {
	s := "plugin " + e.Plugin
	switch e.Version {
	case "":
	case unknownVersion:
		s += " of unknown version"
	default:
		s += " " + e.Version
	}
	all := append(slices.Clip(e.before), e)
	s += ", rpc " + all[0].RPC
	for begin, end := 0, 0; begin < len(all); begin = end {
		for end = begin + 1; end < len(all) && all[end].sameDeath(all[begin]); end++ {
		}
		if begin > 0 {
			s += "\nthen, rpc " + all[begin].RPC
		}
		s += all[begin].end(end - begin)
	}
	return s
}

// sameDeath reports whether two deaths have the same text.
func (e *ProcessError) sameDeath(o *ProcessError) bool { return e.RPC == o.RPC && e.end(1) == o.end(1) }

// end says how the process ended, so many times, and what it said last.
func (e *ProcessError) end(times int) string {
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

// advice is what to do about a process that has ended, where nothing else says.
func (e *ProcessError) advice() string {
	switch killed, spoke := e.Exit == "signal: killed", len(e.Stderr) > 0; {
	case killed && spoke:
		return "too little memory is the usual reason, if its last lines say no other"
	case killed:
		return "too little memory is the usual reason"
	case spoke:
		return "its last lines above say why"
	case e.RPC == "start":
		return "start the program by hand: a plugin of bridge says that it is one"
	}
	return "it printed nothing: start it with BRIDGE_DEBUG=1 under a debugger, or let it print what it does"
}

// Unwrap returns the cause.
func (e *ProcessError) Unwrap() error { return e.Err }

// maxErrorText bounds what an error brings across the boundary.
const maxErrorText = 64 << 10

// failureToWire prepares an error of an adapter for the way to the host.
func failureToWire(op string, err error) *pb.Failure {
	f := &pb.Failure{Kind: uint32(adapters.KindOf(err)), Op: op}
	if e, ok := err.(*adapters.Error); ok {
		bare := *e
		bare.Op, bare.Field, bare.Remedy = "", "", ""
		f.Message, f.Field, f.Remedy = bare.Error(), e.Field, e.Remedy
		if e.Op != "" {
			f.Op = e.Op
		}
	} else { // the text of a wrapped error holds op, field and remedy already
		f.Message = err.Error()
	}
	for _, text := range []*string{&f.Message, &f.Field, &f.Remedy, &f.Op} {
		*text = wireText(*text)
	}
	return f
}

func wireText(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// failureFromWire gives the error that the adapter returned in its process. Its
// texts are the plugin's: nothing in them moves a terminal.
func failureFromWire(f *pb.Failure, where *ProcessError) *adapters.Error {
	where.fault = adapters.Kind(min(f.Kind, 255)) == adapters.Internal
	return &adapters.Error{
		Kind: adapters.Kind(min(f.Kind, 255)), Err: where,
		Op: theirs(f.Op), Message: theirs(f.Message), Field: theirs(f.Field), Remedy: theirs(f.Remedy),
	}
}

// theirs is a text of the plugin as this side shows it.
func theirs(s string) string { return printable.Text(wireText(s)) }

// brokenContract is the error for a plugin whose answer is not what the
// protocol or the contract says.
func brokenContract(op string, err error, where *ProcessError) *adapters.Error {
	where.fault = true
	return &adapters.Error{
		Kind: adapters.Internal, Op: op,
		Message: fmt.Sprintf("the plugin broke the contract: %v", err),
		Remedy:  "this is a bug in the plugin: report it to its author",
		Err:     where,
	}
}
