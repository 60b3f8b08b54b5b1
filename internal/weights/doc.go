// Package weights reads Hugging Face checkpoint folders and writes
// safetensors files.
//
// [Open] maps the weights of a folder into memory and checks their headers;
// nothing is copied until [Folder.Load] makes the variables of a model store,
// and that happens only after every tensor that the model wants is known to be
// there with its shape and no tensor is left over. A folder that is truncated,
// corrupted or of another model gives an error of package adapters, never a
// panic.
//
// The bytes of a [View] belong to the folder: they must not be written, and are
// gone after [Folder.Close]. What [Folder.Load] and [ReadFile] return belongs
// to the caller.
//
// The format is that of github.com/huggingface/safetensors, whose header checks
// (no gaps, no overlaps, no lying lengths) the reader repeats.
package weights
