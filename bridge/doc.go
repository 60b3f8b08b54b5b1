// Package bridge is the Go API of a trained bridge: it holds what is trained
// (Q-Former, ln_vision, projection), joins it with a frozen vision encoder and
// a frozen language model behind the contracts of package adapters, loads and
// saves it, captions, answers, embeds and matches.
//
// A [Bridge] is the trained part alone. A [Model] is a bridge with both frozen
// sides, ready to look at pictures:
//
//	b, err := bridge.Load(backend, "runs/demo/bridge")
//	m, err := bridge.Compose(b, encoder, llm)
//	texts, err := m.Caption(ctx, images, bridge.GenerateOptions{})
//
// A bridge owns its weights and frees them in Close. A model borrows the two
// adapters: whoever opened them closes them.
package bridge
