// Package tokenizer turns text into token ids and back exactly as Hugging
// Face's tokenizers library does.
//
// The contract: for a tokenizer.json, [Tokenizer.Encode] gives the ids and the
// offsets, and [Tokenizer.Decode] the text, that version 0.22.2 of the Python
// library gives. Strings are used as given: nothing is stripped, cut or padded,
// whatever truncation and padding the file asks for. Text must be UTF-8; other
// text is refused with an error. What a method returns belongs to the caller.
//
// The work is done by the library's own Rust source, compiled to WebAssembly
// (tools/tokenizer) and run by wazero, so there is no cgo and no process to
// start. The module is compiled to machine code once and the result is kept in
// $BRIDGE_CACHE/wasm, or, without that variable, in bridge/wasm in the user's
// cache folder; where that folder cannot be written, every process compiles for
// itself, in about a second and a half.
//
// All tokenizers of a process share that one compiled, immutable module; each
// has an instance, and so a memory, of its own. A [Tokenizer] may be used by
// several goroutines at once: they take turns.
package tokenizer
