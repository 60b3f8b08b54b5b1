// Package optim is AdamW with parameter groups, clipping by the global gradient norm and
// a learning-rate schedule, for parameters on a GoMLX backend.
//
// An [AdamW] belongs to one model store. It updates named float32 variables of that store
// and keeps its moments there too, as variables under [Scope], until [AdamW.Close].
//
// A step has two parts, so that few copies of the parameters exist at the same time. The
// caller's graph returns the gradients of [AdamW.Parameters] and their [Norms]. Then
// [AdamW.Step] updates the parameters and frees each gradient when it is applied. If the
// backend's memory is that of the process, Step changes values and moments in place.
// Otherwise it updates a few parameters at a time in graphs of its own. (Backends write new
// values beside the old ones. One graph for loss, gradients and update would have all weights
// and moments twice.) The numbers are those
// of torch.nn.utils.clip_grad_norm_ followed by torch.optim.AdamW. A step whose gradient norm
// is not finite changes nothing: Step returns an error that names the first parameter to blame.
//
// An AdamW must not be used by several goroutines at once.
//
// Package optim knows parameters by name and shape. It knows no Q-Former, no plan and no
// objective.
package optim
