// Package conformance is the suite behind `bridge plugin test`. It runs a plugin, in any
// language, and reports where it breaks the contract and how to fix that.
//
//	report, err := conformance.Run(ctx, conformance.Target{Config: cfg}, conformance.Options{})
//
// There are three groups of cases. "process" tests the program with a host that may break
// the rules: handshake, noise, malformed messages, shutdown, death of the host, leaks.
// "contract" is package adaptertest's suite, through plugins/host, and for a family of this
// binary in this process, too. "golden" runs golden folders. Every case is independent and
// has a time limit: a case that hangs costs only its own verdict.
//
// A [Report] can be written as a table, as JSON lines and as JUnit XML.
//
// Run starts and ends the plugin's processes. None is left when it returns.
package conformance
