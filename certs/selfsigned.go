package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The names of the files in a certificate folder, those of a kubernetes.io/tls Secret.
const (
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
	CAFile   = "ca.crt"
)

// backdating lets a clock that is slow by less than this accept a certificate that was just made.
const backdating = time.Hour

// Pair is a serving certificate with its key and the authority that signed it, all PEM.
type Pair struct {
	// CA is what a client has to trust: the caBundle of a webhook configuration.
	CA []byte
	// Cert is the serving certificate.
	Cert []byte
	// Key is the serving certificate's private key (PKCS #8).
	Key []byte
}

// SelfSigned makes an authority of its own and a serving certificate for the hosts, which are DNS names or IP
// addresses. Both are valid from an hour before now until now+valid. The authority's key is thrown away, so nobody
// can sign a second certificate with it. Keys are P-256.
func SelfSigned(hosts []string, now time.Time, valid time.Duration) (*Pair, error) {
	if len(hosts) == 0 {
		return nil, errors.New("make a serving certificate: no hosts; name at least one DNS name or IP address")
	}
	if valid <= 0 {
		return nil, fmt.Errorf("make a serving certificate: it would be valid for %s; say for how long after now", valid)
	}
	ca, caKey, err := authority(now, valid)
	if err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	template, err := template("slipway-webhook", now, valid)
	if err != nil {
		return nil, fmt.Errorf("make a serving certificate: %w", err)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	cert, key, err := sign(template, ca, caKey)
	if err != nil {
		return nil, fmt.Errorf("make a serving certificate: %w", err)
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the serving certificate's key: %w", err)
	}
	return &Pair{
		CA:   encode("CERTIFICATE", ca.Raw),
		Cert: encode("CERTIFICATE", cert.Raw),
		Key:  encode("PRIVATE KEY", encodedKey),
	}, nil
}

// Write puts the pair into a folder, where Serving finds it. The key goes first: a reader that meets the new key
// with the old certificate refuses the two and looks again.
func (p *Pair) Write(dir string) error {
	for _, f := range []struct {
		name    string
		content []byte
	}{{KeyFile, p.Key}, {CertFile, p.Cert}, {CAFile, p.CA}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.content, 0o600); err != nil {
			return fmt.Errorf("write a certificate: %w", err)
		}
	}
	return nil
}

func authority(now time.Time, valid time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	template, err := template("slipway-ca", now, valid)
	if err != nil {
		return nil, nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	return sign(template, template, nil)
}

// template has what both certificates have in common.
func template(name string, now time.Time, valid time.Duration) (*x509.Certificate, error) {
	const serialBits = 127 // positive, and 16 bytes at most
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdating),
		NotAfter:     now.Add(valid),
	}, nil
}

// sign makes a key and a certificate for it. Without a signer the certificate signs itself.
func sign(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read the signed certificate: %w", err)
	}
	return cert, key, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
