// Package kit owns what a machine without a network needs to build a bridge: real pictures and
// small frozen backbones, embedded in the binary. It must not know how they are used.
//
// The pictures are emoji scenes (package kit/scene), a data set with fixed splits: [Open] returns
// examples in memory, [Export] writes them as a folder of PNG files with LAVIS-style annotations.
// Bridges are trained on [Train]. [HeldOut] is the first test set. Settings are chosen on [Choose],
// and figures are reported of [Report]. [Style] and [Three] are harder: the one has the scenes of
// Report in a drawing style that nothing was trained on, the other has three objects in a scene, for
// bridges that are trained on [ThreeTrain].
//
// [ExtractBenchmarks] writes pictures of Report and Style as benchmarks, in the layouts of the
// official files: questions with ten answers (VQA), five captions a picture (COCO), and
// retrieval (LAVIS).
//
// The backbones are Hugging Face checkpoint folders. [Extract] writes them to disk, because
// adapters read checkpoints from there. The scripts in tools/kit make both.
//
// # Ownership
//
// Examples and pictures belong to the caller. Extracted folders are shared between processes and
// must not be changed.
package kit
