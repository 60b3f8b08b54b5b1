// Package metrics records a run's figures and shows its progress.
//
// A [Writer] belongs to one run folder. It writes each figure as a JSON line, for
// programs, and as a TensorBoard event, for people. When a run is resumed,
// [Writer.Truncate] drops the figures after the checkpoint, so that every step is
// recorded once. A [Progress] shows how far a task is: as a bar on a terminal, and as
// lines elsewhere.
//
// The package knows figures by name. It does not know what they measure: package eval
// does.
package metrics
