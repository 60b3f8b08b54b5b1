// Package metrics records a run's figures, as JSON lines for programs and as
// TensorBoard events for people, and shows its progress.
//
// A [Writer] belongs to one run folder. After a resume it drops what was written
// beyond the checkpoint, so that every step stands once.
package metrics
