// Package torchfile reads files that torch.save wrote, without executing code in them. A pickle may
// refer to tensors, their storages and dictionaries. Any other global is an error, which names the
// global. The package must not know the use of the tensors.
//
// A [File] is mapped into memory. Its tensors are in the mapping, except strided or compressed
// ones, which are copied. All are invalid after [File.Close]. The package reads zip files (torch
// 1.6 and later) and the older form, a sequence of pickles.
package torchfile
