// Package lm holds what the language-model families on GoMLX have in common:
// the token sequence that an example becomes, batches of bounded shapes, the
// loss with its gradient by the soft prompts, and generation over a key-value
// cache.
//
// A family describes itself by a [Config]: its rules ([Rules]), its tokenizer,
// its weights and a [Network], which builds the graphs. [New] makes of it a
// [Model], which satisfies adapters.LanguageModel and every optional capability.
// How an answer's next token is chosen (greedily, with beams, by sampling) is this
// package's business alone; a network knows nothing of it: with beams its batch has
// k rows for each example, and the axis B of what it keeps comes first, so that
// rows can be repeated and reordered.
//
// # Shapes
//
// A graph is compiled once for each combination of bucketed sizes: batches of 1,
// 2, 4, 8, 16, …, lengths in steps of 8 and coarser ones later. Padding stands
// on the right and changes no number. At most 32 graphs are kept.
//
// # Ownership
//
// A Model owns its store, its tokenizer and all tensors between two steps of a
// generation; they stay on the device. Requests and responses belong to the
// caller, as package adapters says.
//
// Axes: B batch, T positions of the input, K target tokens, M soft prompts of Q
// rows, D width of the soft prompts, W width of the hidden states, H heads, C
// cached positions, V vocabulary.
package lm
