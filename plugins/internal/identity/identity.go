// Package identity makes the certificates by which a host and a plugin know each
// other.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"time"
)

// life is longer than a run and no longer than it must be: the key never leaves the
// two processes.
const life = 30 * 24 * time.Hour

// Identity is a key and its certificate for "localhost", for one start of a plugin
// and one side. The host trusts whatever certificate the handshake carries.
type Identity struct {
	Key         []byte // PEM, PKCS 8
	Certificate []byte // PEM
	Pair        tls.Certificate
}

// PEM returns both, the key first.
func (i *Identity) PEM() []byte { return slices.Concat(i.Key, i.Certificate) }

// New makes an identity. Its curve is P-256: a server on gRPC's C core (Python, C++)
// does not ask for signatures of go-plugin's own, P-521, and so never gets them.
func New() (*Identity, error) {
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
		NotAfter:     now.Add(life),
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
	i := &Identity{
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
	}
	i.Pair, err = tls.X509KeyPair(i.Certificate, i.Key)
	return i, err
}
