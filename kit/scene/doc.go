// Package scene owns the kit's pictures: emoji scenes with captions and questions. It must not
// know models or data sets.
//
// A [Scene] describes a picture: one object, a pair of objects in a relation, two to four objects of
// a kind, or a pair beside a third object, on a coloured background. Its caption, its questions with answers, and its
// picture follow from it. A [Sampler] returns an endless sequence of scenes; a [Renderer] draws
// them.
//
// # Determinism
//
// Everything depends on seeds alone. The generator is PCG of math/rand/v2, and the order in which
// numbers are drawn from it is part of this package's contract: the same seed gives the same
// scenes, questions and pixels in every version of this package, on every machine of one
// architecture (the resampling of sprites uses floating point). Tests hold hashes of the
// sequences; a change of a hash is a change of the kit, after which every frozen model and bridge
// has to be trained again. So new kinds of scenes and new styles come after the others, and only new
// splits draw them.
//
// # Held out
//
// A tenth of the unordered pairs of objects (in both orders, both relations and every colour) and
// a tenth of the combinations of object, colour and count (count 1 is the single-object scenes, in
// both sizes) occur only in the [HeldOut] split. Nothing in the kit is trained on them: not the
// bridges, and not the frozen models either. Nothing is trained on the style [Fluent] either. Scenes of
// three objects have splits of their own, [ThreeTrain] and [ThreeHeldOut], under the same hold-out of
// pairs. The kit's frozen models were not trained on such scenes.
//
// # Ownership
//
// The pixel buffers in a [Picture] belong to the caller. A Renderer may be used by several
// goroutines at once; a Sampler may not.
package scene
