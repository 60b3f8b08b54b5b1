// Package torchfile owns the reading of files that torch.save wrote, without executing
// anything of them: a pickle may name tensors, their storages and dictionaries, and any other
// global is an error that names it. It must not know what the tensors are for.
//
// A [File] is mapped. Its tensors lie in the mapping, except strided or compressed ones, which
// are copied, and are gone after [File.Close]. The package reads zip files (torch 1.6 and
// later) and the older form, a sequence of pickles.
package torchfile
