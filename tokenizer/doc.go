// Package tokenizer owns the tokenizers of language models and of the Q-Former: it turns text
// into token ids and back exactly as Hugging Face's tokenizers library does. It must not know
// which model reads the ids; what follows from a model type comes in as
// adapters.TokenizerDefaults.
//
// For a tokenizer.json, [Tokenizer.Encode] returns the ids and offsets, and [Tokenizer.Decode]
// the text, that version 0.22.2 of the Python library returns. Strings are used as given:
// nothing is stripped, truncated or padded, even if the file asks for it. Text must be UTF-8;
// other text is an error. Results belong to the caller. [Open] reads a checkpoint folder, also
// one without tokenizer.json.
//
// The library's own Rust source, compiled to WebAssembly (tools/tokenizer) and run by wazero,
// does the work, so that no cgo and no other process is needed. The module is compiled to
// machine code once; the result is kept in $BRIDGE_CACHE/wasm or, without that variable, in
// bridge/wasm in the user's cache folder. If that folder cannot be written, every process
// compiles the module again, in about a second and a half.
//
// All tokenizers of a process share the compiled, immutable module. Each has an instance, and
// so a memory, of its own. A [Tokenizer] may be used by several goroutines; they take turns.
package tokenizer
