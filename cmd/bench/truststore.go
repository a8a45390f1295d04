package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// roots is how many certificates the bundle of Amazon Linux 2023 has, about. Of each ten, so many
// have a key of 2048 and of 4096 bits; the others have an elliptic curve.
const roots, short, long = 145, 2, 5

// trustStore is what a program trusts, laid out as on Amazon Linux 2023: a bundle, and two folders
// with links to it, which Go reads as well.
type trustStore struct {
	bundle      string
	folders     string          // as SSL_CERT_DIR has them
	certificate tls.Certificate // belongs to a server on this machine; the last of the roots signed it
}

func newTrustStore(folder string) (*trustStore, error) {
	const stored = "etc/pki/ca-trust/extracted"
	if err := os.RemoveAll(folder); err != nil { // an earlier one
		return nil, err
	}
	t := &trustStore{bundle: filepath.Join(folder, stored, "pem", "tls-ca-bundle.pem")}
	two, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	four, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		return nil, err
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var plain, trusted bytes.Buffer
	var root *x509.Certificate
	for i := range roots + 1 {
		key := crypto.Signer(curve)
		switch kind := i % 10; {
		case kind < short, i == roots: // the last one is that of the server
			key = two
		case kind < short+long:
			key = four
		}
		name := pkix.Name{
			Country: []string{"US"}, Organization: []string{"Example Trust Services"},
			CommonName: fmt.Sprintf("Example Trust Services Root CA %d", i),
		}
		root = &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: name, Issuer: name,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(20, 0, 0),
		}
		signed, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
		if err != nil {
			return nil, err
		}
		for kind, out := range map[string]*bytes.Buffer{"CERTIFICATE": &plain, "TRUSTED CERTIFICATE": &trusted} {
			fmt.Fprintf(out, "# %s\n", name.CommonName)
			_ = pem.Encode(out, &pem.Block{Type: kind, Bytes: signed}) // a buffer takes all
		}
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1000), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: root.NotBefore,
		NotAfter: root.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, root, two.Public(), two)
	if err != nil {
		return nil, err
	}
	t.certificate = tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: two}

	other := filepath.Join(folder, stored, "openssl", "ca-bundle.trust.crt")
	for file, content := range map[string][]byte{t.bundle: plain.Bytes(), other: trusted.Bytes()} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return nil, err
		}
	}
	both := []string{filepath.Join(folder, "etc/ssl/certs"), filepath.Join(folder, "etc/pki/tls/certs")}
	for _, certs := range both {
		if err := os.MkdirAll(certs, 0o755); err != nil {
			return nil, err
		}
		for link, to := range map[string]string{"ca-bundle.crt": t.bundle, "ca-bundle.trust.crt": other} {
			if err := os.Symlink(to, filepath.Join(certs, link)); err != nil {
				return nil, err
			}
		}
	}
	t.folders = strings.Join(both, ":")
	return t, nil
}
