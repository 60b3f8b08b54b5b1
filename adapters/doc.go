// Package adapters owns the contracts between bridge and the frozen models that it
// joins: interfaces, requests and responses, errors, and tensors in host memory. It
// must not know how a model computes, and depends on the standard library alone.
//
// A frozen model implements one of two interfaces. A [VisionEncoder] maps pictures to
// patch features. A [LanguageModel] scores and generates text after soft prompts. The
// families below adapters/ implement them on GoMLX; package plugins carries them across
// a process boundary, so that a plugin in any language implements them too. A caller
// cannot tell which of the two it holds.
//
// A [Family] opens the models of one backbone family, and declares what other packages
// have to know about its checkpoints. [FamilyOf] finds the family of a checkpoint in a
// list: there is no global registry.
//
// # Ownership
//
// The caller owns every request and must not change it until the call returns. The
// callee must copy what it needs longer. A response belongs to the caller, who may keep
// it and write to it.
//
// # Concurrency
//
// All methods may be called from several goroutines. An adapter that computes one
// request at a time queues the others. If the context is cancelled, a call ends soon
// with an error of kind [Canceled].
//
// # Growth
//
// Requests and responses are structs that gain fields and never lose them. A zero field
// means what was meant before the field existed. A capability that only some adapters
// have is an optional interface ([Scorer], [TokenEmbedder], [TokenCounter]). [AsScorer]
// and its siblings find it; a version number never decides.
//
// Axes are named B (batch), N (patches or feature tokens), Q (query tokens), T (text
// tokens), D (width), M (soft prompts in a request) throughout.
package adapters
