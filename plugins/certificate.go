package plugins

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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

// newServerCertificate makes a key and a certificate that a plugin may use, one
// pair for each start: not every language has a library that makes them. PEM,
// the key first (PKCS 8), then the certificate. The host trusts whatever
// certificate the handshake carries.
func newServerCertificate() ([]byte, error) {
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
