// Package tasks defines the benchmarks that bridge runs: which files a task reads and where they
// are looked for, what a model is asked and with which settings, how answers are scored, and what
// papers published.
//
// A task is a TOML file ([Task]). [Shipped] names those in the binary, and [Load] also finds the
// user's own. [Task.Locate] looks for a task's files, and [Open] reads its samples in order.
//
// Package tasks runs no model and computes no score: packages eval/benchmark and eval/score do.
package tasks
