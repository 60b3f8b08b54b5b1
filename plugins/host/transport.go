package host

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// Transport selects how tensors are sent between host and plugin. The values are the same
// to the last bit.
type Transport string

// The transports.
const (
	// TransportAuto is shared memory if host and plugin have it, otherwise gRPC. The
	// empty string means the same.
	TransportAuto Transport = "auto"
	// TransportShared is shared memory. A plugin without it is refused. Tensors that do
	// not fit into the arenas are sent through gRPC nevertheless.
	TransportShared Transport = "shared-memory"
	// TransportGRPC sends tensors as chunks in the stream of each call.
	TransportGRPC Transport = "grpc"
)

// Transports returns the values that a user can choose.
func Transports() []string {
	return []string{string(TransportAuto), string(TransportShared), string(TransportGRPC)}
}

// SharedMemory returns an error that says why this machine has no shared memory for
// tensors, or nil if it has.
func SharedMemory() error {
	a, err := newArenas(defaultArenaBytes, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	a.close()
	return nil
}

// createArenas makes the arenas of a process that is about to start, if its transport may
// use them.
func (i *instance) createArenas() (err error) {
	if i.cfg.Transport == TransportGRPC {
		return nil
	}
	if i.arenas, err = newArenas(i.cfg.ArenaBytes, i.cfg.Logger); err != nil {
		return i.fallBackToGRPC(err)
	}
	return nil
}

// agreeOnTransport drops the arenas if the plugin's hello does not name them.
func (i *instance) agreeOnTransport() error {
	switch {
	case i.arenas != nil && slices.Contains(i.capabilities, wire.CapArenas):
		return nil
	case i.arenas == nil && i.cfg.Transport != TransportShared:
		return nil
	}
	return i.fallBackToGRPC(errors.New("the plugin does not use it"))
}

// fallBackToGRPC drops the arenas. It returns an error if the transport must use them.
func (i *instance) fallBackToGRPC(reason error) error {
	i.arenas.close()
	i.arenas = nil
	if i.cfg.Transport == TransportShared {
		return adapters.Errorf(adapters.Unsupported, "plugin %s: no shared memory: %w", i.cfg.Name, reason).WithOp("start").
			WithRemedy("the transport %q uses gRPC if there is none", TransportAuto)
	}
	i.cfg.Logger.Debug("tensors are sent through gRPC", "reason", reason)
	return nil
}
