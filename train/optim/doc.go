// Package optim is AdamW with parameter groups, clipping by the global gradient norm and
// a learning-rate schedule, as GoMLX graphs.
//
// An [AdamW] belongs to one model store. It updates named float32 variables of that store
// and keeps its moments there too, as variables under [Scope], until [AdamW.Close].
//
// [AdamW.Apply] adds a step to a graph that computes or receives the gradients, so that
// loss, gradients and update are one execution. The caller feeds the graph with
// [AdamW.Rates] and passes its output to [AdamW.Commit], which counts the step. The
// numbers are those of torch.nn.utils.clip_grad_norm_ followed by torch.optim.AdamW. A
// step whose gradient norm is not finite changes nothing: Commit returns an error that
// names the first parameter to blame. [Config.Update] is the same step without a store.
//
// Tensors and states that are passed in stay the caller's; what is returned belongs to
// the caller. An AdamW must not be used by several goroutines at once.
//
// Package optim knows parameters by name and shape. It knows no Q-Former, no plan and no
// objective.
package optim
