// Package qformer owns the graph of BLIP-2's Querying Transformer: a BERT encoder whose
// learned queries read a picture's features by cross-attention, and can read text beside them
// (arXiv 2301.12597, section 3.1; LAVIS models/blip2_models/Qformer.py). It must not know
// which frozen models it sits between, nor how it is trained.
//
// [Config] has its sizes, [Config.Parameters] lists the weights of a stage, [Init] makes them.
// [New] binds a store's weights to a graph under construction; the methods of [Model] add
// nodes to that graph:
//
//	prompts := qformer.New(cfg, store, g, rng).Prompts(features)
//
// Weights are variables of a GoMLX store under the names of Hugging Face's checkpoints
// ([VariablePath]); linear weights are [out, in]. The store owns them. A Model owns nothing and
// lives as long as the building of its graph. Weights are float32. With [Model.WithDType] the
// graph computes in another type; norms and softmaxes stay in float32.
//
// Graph functions panic if shapes do not fit, as GoMLX's do. Axes: B batch, N patches, Q
// queries, T tokens, D width, H heads, P projection, V vocabulary.
//
// Package objective has the training objectives of stage 1.
package qformer
