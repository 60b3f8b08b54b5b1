// Package adapters holds the contracts between bridge and the frozen models
// that it joins.
//
// A frozen model sits behind one of two interfaces: [VisionEncoder], which
// turns pictures into patch features, and [LanguageModel], which scores and
// generates text that follows soft prompts. Families under adapters/ implement
// them on GoMLX; package plugins carries them across a process boundary, so
// that a plugin in any language satisfies them too. Whoever holds one of these
// interfaces cannot tell which of the three it is.
//
// # Ownership
//
// The caller owns every request and must not change it until the call returns.
// The callee owns nothing of it afterwards: what it needs longer, it copies.
// A response belongs to the caller, who may keep it and write to it.
//
// # Concurrency
//
// All methods may be called from several goroutines. An adapter that computes
// one thing at a time queues the calls itself. Cancelling the context ends a
// call soon, with an error of kind [Canceled].
//
// # Growth
//
// Requests and responses are structs that gain fields, never lose them; a zero
// field means what was meant before the field existed. What only some adapters
// can do is an optional interface ([Scorer], [TokenEmbedder], [TokenCounter]),
// found with [AsScorer] and its siblings, never by version.
//
// Axes are named B (batch), N (patches or feature tokens), Q (query tokens),
// T (text tokens), D (width), M (soft prompts in a request) throughout.
//
// The package depends on the standard library alone.
package adapters
