// Package train owns the training of a bridge: it runs a [Plan] on pictures and texts, between
// frozen models, and keeps checkpoints and metrics in the run's folder. It must not know any
// recipe, registry, plugin or command: these resolve names and pass values to it.
//
// A plan is a list of phases. Each [Phase] names its objective (package
// train/objective), the modules that it trains, its schedule and its optimizer (package
// train/optim), so stage 1, stage 2, projector warm-up and fine-tuning are the same loop
// with other values. A [Session] joins a plan with a bridge, the frozen language model,
// the data and the run's folder; [Session.Run] runs it. The package example trains the
// kit's bridge.
//
// A step has two parts. The first reads features, runs the Q-Former and the language
// model, and compiles graphs; it changes nothing and can be cancelled. The second applies
// the gradients, wholly or not at all, while the training state is locked. So a
// checkpoint (package train/checkpoint) always holds the state after a whole step, and a
// run that is resumed from it continues bit for bit: random numbers depend only on the
// seed and the place in the run.
//
// After a swap of a frozen model, [ProjectionTransfer] joins the old bridge with another
// language model, and [FoldEncoder] fits it to another encoder's features.
//
// The package calls frozen models through the contracts of package adapters. Package data
// gives it the data, and package eval the measurements.
package train
