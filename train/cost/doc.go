// Package cost owns the counts of what a run computes: passes through the frozen models and the
// Q-Former, and optimizer steps. It must not know how they are computed.
//
// A [Meter] counts by phase. It wraps the frozen models, so every call is counted, and the code
// that runs the Q-Former tells it the rest. A [Ledger] holds the counts. Counts do not depend on
// the machine or its load: with the [Prices] of a machine, the seconds that one pass of each kind
// takes there, [Count.Seconds] returns the seconds of a run without the compilation of graphs.
package cost
