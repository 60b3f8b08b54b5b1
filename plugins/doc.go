// Package plugins owns the author's side of plugins: a program that calls [Serve] serves a
// frozen model to bridge, in a separate process. The package must not know how a host starts
// a process, supervises it or repeats a request.
//
// The program implements the contracts of package adapters. Built-in families are served in
// the same way by bridge's own executable. Plugins in other languages implement
// proto/bridge/v1/adapter.proto.
//
// Package plugins/host is the other side, which starts and calls plugins. Neither side imports
// the other; plugins/internal/wire has the code that both share.
//
// # Ownership
//
// As in package adapters: an adapter must not change a request or keep it, and a response
// belongs to the caller. Serve closes the model when the host shuts the plugin down.
//
// # Lifecycle
//
//	host                                   plugin
//	host.Launch: a private folder for
//	  the socket; arenas, process group,
//	  lifeline, allow-list environment ─►  Serve: moves fd 1 aside, watches the lifeline
//	reads the handshake               ◄──  handshake on the old fd 1
//	Load                              ──►  Family.Open…
//	Progress, spec                    ◄──  hello, progress, spec
//	Loss, Encode, …: checks           ──►  checks, computes, checks
//	checks                            ◄──  response or failure
//	Close: go-plugin's Shutdown       ──►  closes the model and exits; after 2 s it is killed
//
// The handshake must come within host.Config.StartTimeout, or ten times that if the process
// computes or prints meanwhile. Load may take as long as it needs. The lifeline is a pipe
// whose other end only the host holds: it closes however the host ends, and then the plugin
// exits. The next host removes the socket's folder if it is left. The processes that a plugin
// has started end with it, in its process group or outside; an environment variable marks
// them.
//
// The host refuses a plugin that is too old or too new, and its error says which version of
// which side to get. Several major versions of the protocol can be in use at the same time.
//
// # Debugging
//
// An author can start the plugin by hand, under a debugger, with BRIDGE_DEBUG=1. The
// program prints BRIDGE_REATTACH for the shell of the host. The host then connects to that
// process, without TLS and shared memory, and neither restarts nor ends it. Each run loads
// the model again. [Logger] returns a logger whose lines the host logs.
//
// The package needs Unix: process groups and inherited descriptors.
package plugins
