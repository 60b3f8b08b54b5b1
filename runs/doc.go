// Package runs trains bridges into run folders, swaps their frozen models, and summarizes
// finished runs. A run folder has the resolved recipe, the lock of the frozen models,
// checkpoints, metrics, the trained bridge, a summary and a report.
//
//   - [Train] trains a recipe.
//   - [Retrain] swaps frozen models of a bridge and retrains it; see [Swap].
//   - [TrainMatrix] trains every combination of a matrix.
//   - [NewDemo] prepares the swap that the command demo shows.
//
// Package runs/comparison compares finished runs, and package runs/report draws charts and
// writes HTML.
//
// The package must not know where models are and which plugins may start, because a
// [workspace.Workspace] does. It must not know how a step is computed, because package train
// does.
package runs
