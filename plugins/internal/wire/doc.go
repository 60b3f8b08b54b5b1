// Package wire has what both sides of the plugin protocol share: the handshake and
// the environment variables around it, the messages of the contract's requests and
// answers, tensors in chunks or in shared memory, and the private folder of a plugin's
// process.
//
// Package plugins (the plugin's side) and plugins/host (the host's side) import it.
// It imports neither, and it must not know how a process is started, supervised or
// served.
package wire
