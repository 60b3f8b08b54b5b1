// Package lm owns what the language-model families on GoMLX share: the layout of an
// example as a token sequence, batches of bounded shapes, the loss with its gradient
// by the soft prompts, and generation with a KV cache. It must not know any family.
//
// A family describes a checkpoint by a [Definition]: its [SpecialTokens], its
// tokenizer, its tensors and a [Network], which builds the graphs. [Load] returns a
// [Model], which satisfies adapters.LanguageModel and every optional capability.
//
// Package lm decodes: it chooses each next token (greedily, with beams or by sampling).
// A network must not know how. With beams its batch has k rows for each example. The
// axis B of the tensors in its KV cache comes first, so that rows can be repeated and
// reordered.
//
// # Shapes
//
// A graph is compiled once for each combination of bucketed sizes: batches of 1, 2, 4,
// 8, 16, …, lengths in steps of 8, and in larger steps above 64. Padding stands on the
// right and changes no number. At most 32 graphs are kept.
//
// # Weights
//
// On XLA's CPU backend, [Load] holds the tensors whose specs are Linear transposed, under names of their
// own. So a network may use such a weight by layers.Linear alone.
//
// # Ownership
//
// A Model owns its store, its tokenizer and, between two steps of a generation, all
// tensors of it, which stay on the device. Requests and responses belong to the caller,
// as package adapters says.
//
// Axes: B batch, T positions of the input, K target tokens, M soft prompts of Q
// rows, D width of the soft prompts, W width of the hidden states, H heads, C
// cached positions, V vocabulary.
package lm
