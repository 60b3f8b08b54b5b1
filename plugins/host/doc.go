// Package host is the host's side of plugins: it starts a plugin's process, supervises it
// and calls it. [OpenVision] and [OpenLanguage] return an adapter that behaves like one in
// this process; losses, gradients and features are the same to the last bit. [Launch] is
// for a plugin whose kind is not known before.
//
// Package plugins is the other side, for the authors of plugins, and its documentation
// describes how the two sides work together. Neither imports the other: what both share
// is in plugins/internal/wire. This package must not know how a plugin serves a model, nor
// which plugins a user trusts: Config.Prepare and Config.Accept are the hooks for that.
//
// # Ownership
//
// The caller owns a request and does not change it until the call returns; a response
// belongs to the caller. The process belongs to the adapter: Close ends it.
//
// # Death
//
// The host starts a process that dies again, after a pause that doubles, and repeats every
// request that was lost, as often as [Restart] says. That is safe, because requests change
// nothing. A stream of pieces continues where it was interrupted. A plugin that comes back
// with another model is refused.
//
// [Limits] bound the resources of a process. The host kills a process that holds too much
// memory or does not answer in time. That is a death like any other, and its error names
// the limit and the remedy.
//
// # Errors
//
// An adapter's error arrives as the [adapters.Error] that it was, with kind, op, message,
// field and remedy. Its cause is a [ProcessError] with the plugin's name and version, the
// RPC and, if the process has ended, its exit status and last lines on stderr. Kind
// Unavailable means that the process died more often than it may; the error lists every
// death. Kind Internal means that the plugin panicked or broke the contract, which both
// sides check; the error has the plugin's last lines. A context that ends gives Canceled at
// once, even if the adapter ignores it. Its deadline stays in the host: the plugin is
// canceled when it passes.
//
// A loss, score, gradient or feature that is NaN or infinite is refused when it arrives,
// with its position.
//
// # Tensors
//
// A message announces its tensors. Their bytes are in shared memory if the message has a
// handle; otherwise they follow it as chunks of at most 2 MiB. [Transport] selects. The
// host checks every number from the plugin, and copies a tensor before it reads a value.
//
// Shared memory is two arenas for each process. An arena is a memory file without a name
// that the process inherits; only the host can write to the first, the second is for
// replies. The size of an arena is sealed, and only pages that were used exist. Each call
// has a lease: a generation and a part for its reply. The tensors of its request are freed
// with the lease. Equal steps use equal places. The lease of an abandoned call stays
// reserved until the plugin has answered Settle, or is dead; the arenas of a dead process
// are dropped. Tensors are sent as chunks if there is no room, or if host or plugin has no
// shared memory (not Linux, no memfd, a plugin that the host has not started).
//
// The package needs Unix: process groups, inherited descriptors and file locks.
package host
