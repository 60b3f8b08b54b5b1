// Package vision owns what the families of frozen vision transformers share: reading a
// configuration, embedding patches, resizing position tables, the parts of a block, and
// the open encoder. It must not know any family.
//
// A family is a function that reads a folder's configuration into a [Tower]: sizes,
// tensor names and two graph-building functions. [Family] makes an adapter of it. An
// encoder maps pictures uint8[B, H, W, 3] to features float32[B, N, D] (or bfloat16): a
// hidden state as transformers indexes them, before any final norm.
//
// An open encoder owns its weights until Close. Requests and responses belong to the
// caller.
package vision
