// Package bridge owns a trained bridge: Q-Former, norm on the features and projection. It
// loads and saves bridges, joins them with a frozen vision encoder and a frozen language model
// behind the contracts of package adapters, captions, answers, embeds and matches. It must not
// know how a bridge is trained, nor where frozen models lie.
//
// A [Bridge] is the trained part alone: [New] makes one, [Load] reads one from a folder, also
// from a whole BLIP-2 as transformers saves it. [Compose] joins it with its frozen models to a
// [Model], which describes pictures ([Model.Caption]) and answers questions about them
// ([Model.Answer]). A stage-1 bridge compares pictures with texts without a language model
// ([Bridge.Similarity], [Bridge.Match]). The examples of these methods are complete programs.
//
// A bridge owns its weights and frees them in Close. A model borrows the two adapters: the
// code that opened them closes them.
package bridge
