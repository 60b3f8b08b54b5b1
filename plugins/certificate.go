package plugins

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// certificateLife is longer than a run and no longer than it must be: the key
// never leaves the two processes.
const certificateLife = 30 * 24 * time.Hour

// newCertificate makes a key and a certificate, one pair for each start and each side:
// the host's own, and one that a plugin may use, since not every language has a library
// that makes them. PEM,
// the key first (PKCS 8), then the certificate. The host trusts whatever
// certificate the handshake carries.
func newCertificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "localhost", Organization: []string{"bridge"}},
		DNSNames:     []string{"localhost"},
		NotBefore:    now.Add(-time.Hour), // a clock may be set back
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:         true, BasicConstraintsValid: true, // it is its own root
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: private}, {Type: "CERTIFICATE", Bytes: certificate}} {
		if err := pem.Encode(&out, block); err != nil {
			return nil, fmt.Errorf("encode the plugin's certificate: %w", err)
		}
	}
	return out.Bytes(), nil
}

// clientCertKey is go-plugin's variable for the certificate of the only client that
// may connect.
const clientCertKey = "PLUGIN_CLIENT_CERT"

// clientIdentity returns what the host shows a plugin, and its certificate (PEM) for
// the plugin's environment. It is go-plugin's AutoMTLS but for the curve: that makes a
// P-521 key, whose signatures a server on gRPC's C core (Python, C++) does not ask for
// and so never gets. go-plugin adds the plugin's certificate from the handshake.
func clientIdentity() (*tls.Config, []byte, error) {
	text, err := newCertificate()
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, nil, fmt.Errorf("read the host's certificate: %w", err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ServerName: "localhost"}, certificate, nil
}
