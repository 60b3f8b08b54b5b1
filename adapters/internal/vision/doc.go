// Package vision holds what the families of frozen vision transformers share:
// reading a configuration, preparing pictures, embedding patches, resizing
// position tables, the pieces of a block, and the life of an open encoder.
//
// A family is a function that reads a folder's configuration into a [Tower]:
// sizes, weight names and two pieces of graph. [Family] makes an adapter of it.
// Pictures come in as uint8[B, H, W, 3]; out come features float32[B, N, D] (or
// bfloat16), a hidden state as transformers indexes them, before any final norm.
//
// An open encoder owns its weights until Close; requests and responses belong to
// the caller.
package vision
