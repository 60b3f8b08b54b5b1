package host

import (
	"crypto/tls"

	"github.com/modular-bridging/bridge/plugins/internal/identity"
)

// clientIdentity returns the host's TLS configuration, and its certificate (PEM) for the
// plugin's environment. It does what go-plugin's AutoMTLS does, with another curve.
// go-plugin adds the plugin's certificate from the handshake.
func clientIdentity() (*tls.Config, []byte, error) {
	own, err := identity.New()
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{own.Pair}, MinVersion: tls.VersionTLS12, ServerName: "localhost"}, own.Certificate, nil
}
