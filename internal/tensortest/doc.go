// Package tensortest owns the property that every tensor of a checkpoint is accounted for: it
// is read, or it stands on the documented list of tensors that nothing reads, or the checkpoint
// is refused with its name. It must not know any family.
package tensortest
