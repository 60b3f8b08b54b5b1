package wire

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// ProtocolVersion is the version of the protocol that this module speaks.
const ProtocolVersion = 1

// ServiceName is the name of the adapter's service in go-plugin's plugin sets.
const ServiceName = "adapter"

// The environment variables by which a host tells a plugin's process how to serve.
// plugins/proto/README.md describes each.
const (
	CookieKey      = "BRIDGE_PLUGIN"
	CookieValue    = "3d0c5a2e8f5b4c4f9d7e-bridge-adapter"
	LifelineKey    = "BRIDGE_LIFELINE_FD"
	CertificateKey = "BRIDGE_SERVER_CERT_FD"
	LogLevelKey    = "BRIDGE_LOG_LEVEL" // holds a name of package loglevel
)

// ClientCertificateKey is go-plugin's environment variable with the certificate (PEM) of the
// only client that may connect.
const ClientCertificateKey = "PLUGIN_CLIENT_CERT"

// Handshake returns the cookie that a host shows a plugin's process. It guards
// against starting a plugin by hand, not against attackers.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{MagicCookieKey: CookieKey, MagicCookieValue: CookieValue}
}

// Versions returns the protocol versions that this side speaks. The host passes a nil
// server.
func Versions(server pb.AdapterServer) map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{ProtocolVersion: {ServiceName: &service{server: server}}}
}

// service tells go-plugin how to register the service and how to make a client.
type service struct {
	goplugin.NetRPCUnsupportedPlugin
	server pb.AdapterServer
}

var _ goplugin.GRPCPlugin = (*service)(nil)

// GRPCServer registers the service. go-plugin calls it in the plugin.
func (s *service) GRPCServer(_ *goplugin.GRPCBroker, registrar *grpc.Server) error {
	pb.RegisterAdapterServer(registrar, s.server)
	return nil
}

// GRPCClient returns a client. go-plugin calls it in the host.
func (s *service) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pb.NewAdapterClient(conn), nil
}
