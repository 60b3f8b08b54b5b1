// Package benchmark runs tasks of package eval/tasks on a model and scores the answers.
//
// [Run] asks the model in batches that depend on the task alone, and appends each batch to
// samples.jsonl before it asks the next one. A run that was killed continues there, and ends with
// the same file, except for times. [Plan] says what a run depends on; a folder whose plan differs
// is refused. [Result] is result.json: what was run, and the figures of package eval/score.
//
// The package knows models as package bridge has them. It opens none, and prints nothing.
package benchmark
