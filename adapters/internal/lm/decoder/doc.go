// Package decoder owns the decoder-only network: what families of equal blocks with
// causal self-attention share. It must not know any family.
//
// A family implements a [Body], which computes everything except attention. A
// [Network] adds the attention and is an lm.Network: it attends to the input, or to
// the KV cache of a generation, with grouped query heads, rotary positions, sliding
// windows and soft-capped scores if the family has them. [Open] opens the checkpoint
// of such a family.
//
// Axes: B batch, T positions, D width of the blocks, H heads of queries, Kv heads
// of keys and values, G = H/Kv, Dh width of a head, C cached positions.
package decoder
