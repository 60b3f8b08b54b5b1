// Package gated owns the decoder block that Llama introduced and that Mistral, Qwen and
// Gemma vary: RMS norms, rotary positions, query heads that share keys and values, and
// a gated feed-forward (transformers, models/llama/modeling_llama.py). It must not know
// which family uses it.
//
// [Config] holds the keys of config.json that these families share. A family decodes
// config.json over its own defaults, adds its own keys, and describes in a [Variant] how
// its blocks differ.
package gated
