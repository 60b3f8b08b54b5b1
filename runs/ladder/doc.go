// Package ladder analyses ladders of budgets: what a cold start costs until it has converged, and
// which fraction of that cost other ways to train need to be as good.
//
//   - [Record] is the result of one finished run, with one bit for each caption. [Results] holds
//     the records of a matrix. It can be written to a file, read, and merged with another one.
//   - [Analyze] returns the [Ladder] of a combination of frozen models: its climb, Q*, C, and a
//     [Verdict] for each option and budget, which compares it with Q* or with a rung that a
//     [RungName] names.
//   - [Next] returns the runs that the results still lack, the cheapest first.
//   - [Difference] and [Mean] are the statistics: intervals over pictures and seeds.
//
// docs/swapping.md describes the method. All functions are deterministic. The package must not
// train, and must not know where runs are: package runs/comparison reads and trains them.
package ladder
