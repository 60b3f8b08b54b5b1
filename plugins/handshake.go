package plugins

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// ProtocolVersion is the version of the protocol that this package speaks.
const ProtocolVersion = 1

const (
	serviceName      = "adapter"
	cookieKey        = "BRIDGE_PLUGIN"
	cookieValue      = "3d0c5a2e8f5b4c4f9d7e-bridge-adapter"
	lifelineFDKey    = "BRIDGE_LIFELINE_FD"
	certificateFDKey = "BRIDGE_SERVER_CERT_FD"
)

// handshake is what both sides show each other before they speak the protocol.
// The cookie guards against starting a plugin by hand, not against attackers.
func handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}
}

// versions lists the protocols of this side. server is nil on the host.
func versions(server pb.AdapterServer) map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{ProtocolVersion: {serviceName: &wire{server: server}}}
}

// wire tells go-plugin how the service is registered and how a client is made.
type wire struct {
	goplugin.NetRPCUnsupportedPlugin
	server pb.AdapterServer
}

var _ goplugin.GRPCPlugin = (*wire)(nil)

// GRPCServer registers the service; go-plugin calls it in the plugin.
func (w *wire) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterAdapterServer(s, w.server)
	return nil
}

// GRPCClient makes the client; go-plugin calls it in the host.
func (w *wire) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pb.NewAdapterClient(conn), nil
}
