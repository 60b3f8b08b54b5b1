// Package runs trains bridges into run folders, and swaps, repeats and sums up what is in
// them. A run folder holds the recipe as it was resolved, the lock of the frozen models,
// checkpoints, metrics, the trained bridge and what the run ended with.
//
// [Train] runs a recipe. [Swap] makes the recipe of a bridge's retraining for other frozen
// models, and [Retrain] runs it. [TrainMatrix] runs every combination of a matrix, and
// [Demo] is the swap that the command demo shows. Package runs/comparison puts finished
// runs side by side; package runs/report draws.
//
// The package must not know where models are found or what may start: a
// [workspace.Workspace] does. Nor does it know how a step is computed: package train does.
package runs
