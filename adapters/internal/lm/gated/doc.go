// Package gated is the decoder that Llama began and that Mistral, Qwen and Gemma
// vary: RMS norms, rotary positions, query heads that share keys and values, and
// a gated feed-forward (transformers, models/llama/modeling_llama.py).
//
// [Config] holds the keys of config.json that they share. A family decodes them
// over its own defaults, adds its keys, and says in a [Model] how its blocks
// differ.
package gated
