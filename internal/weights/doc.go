// Package weights reads and writes files of weights: it reads Hugging Face checkpoint folders, of a
// single model or of a whole BLIP-2, and writes safetensors files. It must not know how a model
// uses the weights.
//
// [Open] maps the weights of a folder into memory and checks their headers. [Folder.Load] creates
// the variables of a model store. First it checks that the folder has every tensor that the model
// needs, with the right shape, and no others. For a folder that is truncated, corrupted or of
// another model, the functions return an error of package adapters and do not panic.
//
// The folder owns the bytes of a [View]: they must not be changed, and are invalid after
// [Folder.Close]. The caller owns the results of [Folder.Load] and [ReadFile].
//
// The format is safetensors (github.com/huggingface/safetensors). The reader makes the same header
// checks: no gaps, no overlaps, correct lengths.
package weights
