package host

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// executablePrefix begins the names of plugins' programs. A plugin's name is without it.
const executablePrefix = "bridge-adapter-"

// Attached reports whether the environment has an attachment for the plugin with this
// name, that is, whether its author has started it by hand. [Launch] then connects to that
// process: it starts none and does not call [Config].Prepare.
func Attached(name string) (bool, error) {
	a, err := attachmentFor(name)
	return a != nil, err
}

// attachmentFor returns the attachment in the environment for a plugin, or nil if there is
// none.
func attachmentFor(name string) (*wire.Attachment, error) {
	text := os.Getenv(wire.ReattachKey)
	if text == "" {
		return nil, nil
	}
	all, err := parseAttachments(text)
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s: %w", wire.ReattachKey, err).WithOp("start").
			WithRemedy("set it to the value that a plugin started with %s=1 prints, or unset it", wire.DebugKey)
	}
	bare := strings.TrimPrefix(name, executablePrefix)
	for _, given := range slices.Sorted(maps.Keys(all)) {
		if strings.TrimPrefix(given, executablePrefix) == bare {
			a := all[given]
			return &a, nil
		}
	}
	return nil, nil
}

// parseAttachments parses the value of [wire.ReattachKey].
func parseAttachments(text string) (map[string]wire.Attachment, error) {
	var all map[string]wire.Attachment
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	for name, a := range all {
		switch {
		case a.Protocol != string(goplugin.ProtocolGRPC):
			return nil, fmt.Errorf("plugin %q has the Protocol %q, want \"grpc\"", name, a.Protocol)
		case a.Addr.Network == "unix" && !filepath.IsAbs(a.Addr.String):
			return nil, fmt.Errorf("plugin %q has the address %q, want an absolute path", name, a.Addr.String)
		case a.Addr.Network != "unix" && a.Addr.Network != "tcp":
			return nil, fmt.Errorf("plugin %q has the network %q, want \"unix\" or \"tcp\"", name, a.Addr.Network)
		}
	}
	return all, nil
}

// attach connects to a process that the host has not started. It does not wait for the
// connection: the first call fails if the process does not run.
func (i *instance) attach() error {
	a := i.cfg.attached
	set, ok := i.cfg.versions[a.ProtocolVersion]
	if !ok {
		err := wrongVersion(a.ProtocolVersion, wire.Majors(i.cfg.versions), i.cfg.Name, i.cfg.Version)
		return i.refused(err, i.processError("start"))
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, a.Addr.Network, a.Addr.String)
	}
	conn, err := grpc.NewClient("passthrough:///"+wire.ReattachKey, append(i.cfg.dialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))...)
	if err != nil {
		return i.unreachable("start", "start", err)
	}
	i.attached = conn
	raw, err := set[wire.ServiceName].(goplugin.GRPCPlugin).GRPCClient(context.Background(), nil, conn)
	if err != nil {
		return i.unreachable("start", "start", err)
	}
	i.rpc = raw.(pb.AdapterClient)
	i.cfg.Logger.Info("attached to a plugin that bridge has not started", "pid", a.Pid, "address", a.Addr.String)
	return nil
}

// unreachable returns the error for an attached process that does not answer. The host
// does not start it again.
func (i *instance) unreachable(rpc, op string, err error) error {
	a := i.cfg.attached
	is := "is gone"
	if a.Pid > 0 && syscall.Kill(a.Pid, 0) == nil {
		is = "cannot be reached"
	}
	message := fmt.Sprintf("the plugin's process %d, which bridge is attached to by %s, %s: %s", a.Pid, wire.ReattachKey, is, status.Convert(err).Message())
	return (&adapters.Error{Kind: adapters.Unavailable, Op: op, Message: message, Err: i.processError(rpc)}).
		WithRemedy("start it again and set %s to what it prints, or unset it so that bridge starts the plugin; its last lines are in the terminal where it was started", wire.ReattachKey)
}
