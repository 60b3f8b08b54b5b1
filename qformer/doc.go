// Package qformer is BLIP-2's Querying Transformer: a BERT encoder whose
// learned queries look at a picture's features by cross-attention, and which
// can read text beside them (arXiv 2301.12597, section 3.1; LAVIS
// models/blip2_models/Qformer.py).
//
// [Config] says how large it is, [Config.Parameters] which weights a stage has,
// [Init] makes them. [New] binds a store's weights to a graph under
// construction; the methods of [Model] add nodes to that graph:
//
//	prompts := qformer.New(cfg, store, g, rng).Prompts(features)
//
// Weights are variables of a GoMLX store under the names of Hugging Face's
// checkpoints, linear weights as [out, in]. The store owns them; a Model owns
// nothing and lives as long as the building of its graph. Weights are float32;
// with layers.Params.WithDType the graph computes in another type, norms and
// softmaxes in float32 always.
//
// Graph functions panic on shapes that do not fit, as GoMLX's do. Axes: B batch,
// N patches, Q queries, T tokens, D width, H heads, P projection, V vocabulary.
//
// The training objectives of stage 1 are in package objective.
package qformer
