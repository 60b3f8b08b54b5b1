// Package plugins carries the contracts of package adapters across a process
// boundary: a frozen model lives in a process of its own, and whoever holds the
// [adapters.LanguageModel] or [adapters.VisionEncoder] cannot tell. Losses,
// gradients and features are the same to the last bit.
//
// The host calls [OpenVision] or [OpenLanguage] ([Launch] where the kind is not
// known before); a plugin's main function calls [Serve]. Built-in families are
// served by the host's own executable, others by theirs. Plugins in other
// languages implement proto/bridge/v1/adapter.proto.
//
// # Ownership
//
// As in package adapters: the caller owns a request and does not change it until
// the call returns, a response belongs to the caller. The process belongs to the
// adapter: Close ends it.
//
// # Lifecycle
//
//	host                                   plugin
//	Launch: a private folder for the
//	  socket; arenas, process group,
//	  lifeline, allow-list environment ─►  Serve: moves fd 1 aside, holds the lifeline
//	reads the handshake               ◄──  handshake on the old fd 1
//	Load                              ──►  Family.Open…
//	Progress, spec                    ◄──  hello, progress, spec
//	Loss, Encode, …: checks           ──►  checks, computes, checks
//	checks                            ◄──  response or failure
//	Close: go-plugin's Shutdown       ──►  closes the model and exits; after 2 s it is killed
//
// The handshake must come within Config.StartTimeout, or ten times that from a
// process that computes or prints meanwhile; Load may take as long as it needs. The
// lifeline is a pipe whose other end only the host holds: it closes however the host
// dies, and the plugin exits. What is left of the socket's folder, the next host
// removes. What a plugin has started ends with it, in its process group or out of
// it: an environment variable marks it.
//
// The handshake's line is read by the host itself before go-plugin sees it: a
// plugin that is too old or too new is refused with which version of which side
// to get. Several majors of the protocol can live together.
//
// # Death
//
// A process that dies is started again, after a pause that doubles, and every
// request that was lost is repeated, as often as [Restart] says. This is safe
// since requests change nothing. A stream of pieces goes on where it broke off.
// A plugin that comes back with another model is refused.
//
// [Limits] bound what a process takes. One that holds too much memory, or does
// not answer in time, the host kills: that is a death like any other, and its
// story says limit and remedy.
//
// # Debugging
//
// A plugin that its author starts with BRIDGE_DEBUG=1, under a debugger, prints
// BRIDGE_REATTACH for the shell of the host, which then connects to that process,
// without TLS and shared memory, and neither restarts nor ends it. Each run loads
// the model anew. At [LevelTrace] the host logs every call with its sizes and
// times; [Logger] is for what an adapter has to say.
//
// # Errors
//
// What an adapter returns arrives as the [adapters.Error] that it was: kind, op,
// message, field, remedy. Its cause is a [ProcessError] with the plugin's name and
// version, the RPC, and, where the process has ended, its exit status and last
// lines on stderr. Kind Unavailable means that the process died more often than
// it may, and tells every death; Internal, that the plugin panicked or broke the
// contract, which both ends check, and its last lines belong to the text. A
// context that ends gives Canceled at once, also if the adapter does not listen;
// its deadline is the host's alone, the plugin hears of it when it has come.
//
// # Tensors
//
// An RPC exchanges a message that announces its tensors. Their bytes stand in
// shared memory, where the message has a handle, or follow it as chunks of at most
// 2 MiB; the same bits either way ([Transport] chooses, transport.go decides for
// each tensor). The receiver believes no number that it has not checked, and copies
// before it looks at a value.
//
// Shared memory is two arenas a process, memory files without a name that the
// process inherits: one that only the host can write to, and one for answers. Their
// size is sealed, and of it only the pages that were once used exist. A call has a
// lease: a generation of its own and a part for its answer; what a request takes is
// freed with it. Equal steps take equal places. A call that was given up keeps what
// it has until the plugin has answered Settle, or is dead; a dead process's arenas
// are dropped whole. Where there is no room, and where host or plugin has no shared
// memory (not Linux, no memfd, a plugin that was attached by hand), chunks do.
//
// A loss, score, gradient or feature that is NaN or infinite is refused when it
// arrives, with its place.
//
// The package needs Unix: process groups, inherited descriptors and file locks.
package plugins
