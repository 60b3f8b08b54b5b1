// Package conformance is the kit behind `bridge plugin test`: it runs any plugin,
// of any language, and says what it owes to the contract and how to mend it.
//
//	report, err := conformance.Run(ctx, conformance.Target{Config: cfg}, conformance.Options{})
//
// Three groups of cases: "process" looks at the program as a host does that may
// break the rules (handshake, noise, malformed messages, shutdown, death of the
// host, leaks); "contract" is package adaptertest's suite, through the host that
// bridge uses, and for a family of this binary in this process as well; "golden"
// runs golden folders. Every case stands alone and has a time limit: one that
// hangs costs its own verdict and no other.
//
// A [Report] is written as a table, as JSON lines and as JUnit XML.
//
// Run starts and ends the plugin's processes itself; when it returns none is left.
package conformance
