// Package weights owns the files of weights: it reads Hugging Face checkpoint folders, alone
// or as part of a whole BLIP-2, and writes safetensors files. It must not know what a model
// computes with them.
//
// [Open] maps the weights of a folder into memory and checks their headers. [Folder.Load]
// makes the variables of a model store. Before it copies anything it checks that the folder
// holds every tensor that the model needs, with its shape, and no others. A folder that is
// truncated, corrupted or of another model gives an error of package adapters, never a panic.
//
// The bytes of a [View] belong to the folder: they must not be written, and are gone after
// [Folder.Close]. The results of [Folder.Load] and [ReadFile] belong to the caller.
//
// The format is that of github.com/huggingface/safetensors. The reader repeats its header
// checks (no gaps, no overlaps, correct lengths).
package weights
