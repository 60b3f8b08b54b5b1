package identity

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
)

func TestNew(t *testing.T) {
	made, err := New()
	if err != nil {
		t.Fatal(err)
	}
	text := made.PEM()
	private, rest := pem.Decode(text)
	if private == nil || private.Type != "PRIVATE KEY" {
		t.Fatalf("the text does not begin with a PKCS 8 key:\n%s", text)
	}
	if _, err := x509.ParsePKCS8PrivateKey(private.Bytes); err != nil {
		t.Error(err)
	}
	block, rest := pem.Decode(rest)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		t.Fatalf("no certificate after the key, or more than one:\n%s", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c)
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := c.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Error(err)
		}
	}
	if again, err := New(); err != nil || string(again.Key) == string(made.Key) {
		t.Errorf("a second start has the same key, or %v", err)
	}
}
