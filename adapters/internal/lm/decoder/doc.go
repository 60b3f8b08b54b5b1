// Package decoder is the decoder-only network: what families of equal blocks
// with causal self-attention have in common.
//
// A family brings a [Body], which says what a block computes around its
// attention and how embeddings enter and states leave. The [Network] made of it
// is an lm.Network: it attends, over the input alone or over the cache of a
// generation, with grouped heads, rotary positions, windows and capped scores
// where the family has them. [Open] is what such a family's Open does.
//
// Axes: B batch, T positions, D width of the blocks, H heads of queries, Kv heads
// of keys and values, G = H/Kv, Dh width of a head, C cached positions.
package decoder
