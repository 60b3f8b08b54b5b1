// Package torchfile reads the tensors of a file that torch.save wrote, without
// executing anything that the file asks for: its pickle may name tensors, their
// storages and dictionaries, and any other global is refused by its name.
//
// A [File] is mapped; the tensors that it shows lie in the mapping (those that
// are strided or compressed are copied) and are gone after [File.Close]. Zip
// files (torch 1.6 and later) and the older form of pickles in a row are read.
package torchfile
