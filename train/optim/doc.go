// Package optim is AdamW with parameter groups, clipping by the global gradient
// norm and a learning-rate schedule, as GoMLX graphs.
//
// An [AdamW] belongs to one model store. It updates the named float32 variables
// of that store and keeps its moments there too, as variables under [Scope],
// until [AdamW.Close]. A step runs in one of two ways:
//
//   - [AdamW.Step] takes gradients that were computed elsewhere and runs a
//     compiled graph of its own;
//   - [AdamW.Apply] adds the update to a graph that computes the gradients, so
//     that loss, gradient and update are one execution. The caller feeds
//     [AdamW.Rates] and hands the result to [AdamW.Commit].
//
// Both give the same numbers: those of torch.nn.utils.clip_grad_norm_ followed
// by torch.optim.AdamW. A step whose gradient norm is not finite changes
// nothing and is an error that names the first parameter to blame.
//
// Gradients, rates and states that are passed in stay the caller's; what is
// returned belongs to the caller. An AdamW is not for concurrent use.
package optim
