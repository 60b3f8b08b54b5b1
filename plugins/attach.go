package plugins

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
)

// reattachKey names the variable with the plugins that somebody else has
// started, under a debugger for instance: a JSON object, from names to what
// go-plugin's ReattachConfig holds. A plugin that is named there is connected to
// and never started, restarted or ended; it has neither TLS nor a lifeline.
const reattachKey = "BRIDGE_REATTACH"

// attachment is where such a plugin listens.
type attachment struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool // go-plugin's word for "the host does not end it"
	Addr            attachedAddress
}

type attachedAddress struct{ Network, String string }

// executablePrefix is how plugins' programs are called; a name is meant without it.
const executablePrefix = "bridge-adapter-"

// Attached reports whether the environment says that somebody else has started the
// plugin of a name: then it is not bridge that starts it, and [Config].Prepare is
// not called.
func Attached(name string) (bool, error) {
	a, err := attachmentOf(name)
	return a != nil, err
}

// attachmentOf returns the attachment that the environment has for a plugin, nil
// where it has none.
func attachmentOf(name string) (*attachment, error) {
	text := os.Getenv(reattachKey)
	if text == "" {
		return nil, nil
	}
	all, err := parseAttachments(text)
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s: %w", reattachKey, err).WithOp("start").
			WithRemedy("set it to what the plugin prints that was started with %s=1, or unset it", debugKey)
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

// parseAttachments reads the variable.
func parseAttachments(text string) (map[string]attachment, error) {
	var all map[string]attachment
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

// attach connects to a process that somebody else has started. It does not wait
// for it: the first call says whether it is there.
func (i *instance) attach() error {
	a := i.cfg.attached
	set, ok := i.cfg.versions[a.ProtocolVersion]
	if !ok {
		err := wrongVersion(a.ProtocolVersion, majors(i.cfg.versions), i.cfg.Name, i.cfg.Version)
		return i.refused(err, i.where("start"))
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, a.Addr.Network, a.Addr.String)
	}
	conn, err := grpc.NewClient("passthrough:///"+reattachKey, append(i.cfg.dialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))...)
	if err != nil {
		return i.gone("start", "start", err)
	}
	i.attached = conn
	raw, err := set[serviceName].(goplugin.GRPCPlugin).GRPCClient(context.Background(), nil, conn)
	if err != nil {
		return i.gone("start", "start", err)
	}
	i.rpc = raw.(pb.AdapterClient)
	i.cfg.Logger.Info("attached to a plugin that is not bridge's own", "pid", a.Pid, "address", a.Addr.String)
	return nil
}

// gone is the error for an attached process that does not answer. It is not
// started again.
func (i *instance) gone(rpc, op string, err error) error {
	a := i.cfg.attached
	is := "is gone"
	if a.Pid > 0 && syscall.Kill(a.Pid, 0) == nil {
		is = "cannot be reached"
	}
	message := fmt.Sprintf("the plugin's process %d, which bridge is attached to by %s, %s: %s", a.Pid, reattachKey, is, status.Convert(err).Message())
	return (&adapters.Error{Kind: adapters.Unavailable, Op: op, Message: message, Err: i.where(rpc)}).
		WithRemedy("start it again and set %s to what it prints, or unset that for bridge to start the plugin; its last words are where it was started", reattachKey)
}
