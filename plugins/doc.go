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
//	  socket; process group, lifeline,
//	  allow-list environment          ──►  Serve: moves fd 1 aside, holds the lifeline
//	reads the handshake               ◄──  handshake on the old fd 1
//	Load                              ──►  Family.Open…
//	Progress, spec                    ◄──  hello, progress, spec
//	Loss, Encode, …: checks           ──►  checks, computes, checks
//	checks                            ◄──  response or failure
//	Close: go-plugin's Shutdown       ──►  closes the model and exits; after 2 s it is killed
//
// The handshake must come within Config.StartTimeout; Load may take as long as
// it needs. The lifeline is a pipe whose other end only the host holds: it
// closes however the host dies, and the plugin exits. What is left of the
// socket's folder, the next host removes.
//
// # Death
//
// A process that dies is started again, after a pause that doubles, and every
// request that was lost is repeated, as often as [Restart] says. This is safe
// since requests change nothing. A stream of pieces goes on where it broke off.
// A plugin that comes back with another model is refused.
//
// # Errors
//
// What an adapter returns arrives as the [adapters.Error] that it was: kind, op,
// message, remedy. Its cause is a [ProcessError] with the plugin's name and
// version, the RPC, and, where the process has ended, its exit status and last
// lines on stderr. Kind Unavailable means that the process died more often than
// it may, and tells every death; Internal, that the plugin panicked or broke the
// contract, which both ends check. A context that ends gives Canceled at once,
// also if the adapter does not listen.
//
// # Tensors
//
// An RPC exchanges a message that announces its tensors, and then their bytes.
// How the bytes travel is the business of the two interfaces in transport.go
// alone: today as chunks in the stream, of at most 2 MiB. The receiver believes
// no size that it has not computed itself.
//
// The package needs Unix: process groups, inherited descriptors and file locks.
package plugins
