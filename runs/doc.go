// Package runs owns run folders: it trains bridges into them, swaps the bridges' frozen models,
// and summarizes finished runs. It must not know where models are and which plugins may start:
// a [workspace.Workspace] opens them. It must not know how a step is computed: package train
// computes it.
//
// A run folder has the resolved recipe, the lock of the frozen models, checkpoints, metrics,
// the trained bridge, a summary and a report. pictures.csv has a line for each picture of the last
// evaluation ([ReadPictures]), for tests that pair the pictures of two runs. The summary has what
// the run computed, by phase (package train/cost).
//
//   - [Train] trains a recipe.
//   - [Retrain] swaps frozen models of a bridge and retrains it; see [Swap].
//   - [TrainMatrix] trains every combination of a matrix; a [MatrixRunner] one at a time.
//   - [NewDemo] prepares the swap that the command demo shows.
//
// Package runs/ladder analyses what a cold start costs, package runs/comparison compares finished
// runs, and package runs/report draws charts and writes HTML.
package runs
