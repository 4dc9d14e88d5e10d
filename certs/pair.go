package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// pair is a serving certificate that was checked when it was read.
type pair struct {
	tls *tls.Certificate
	// roots are those of its ca.crt that vouch for it: what a client has to trust. There is at least one.
	roots authorities
}

// leaf is the certificate itself.
func (p *pair) leaf() *x509.Certificate { return p.tls.Leaf }

// same says whether both are the same certificate. nil is the same as nil alone.
func (p *pair) same(other *pair) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.leaf().Equal(other.leaf())
}

// authority names who has to be trusted, for whom the certificate isn't enough.
func (p *pair) authority() string { return fingerprint(p.roots[0]) }

// logged is what the log says of it.
func (p *pair) logged() []any {
	return []any{
		"certificate", fingerprint(p.leaf()), "authority", p.authority(), "notAfter", p.leaf().NotAfter.UTC().Format(time.RFC3339),
	}
}

// readPair reads a Secret's data. It refuses what no API server would accept at this time: each error names the key of the
// Secret and what is wrong, without a word of what is in tls.key.
func readPair(data map[string][]byte, hosts []string, now time.Time) (*pair, error) {
	for _, key := range []string{CertFile, KeyFile, CAFile} {
		if len(data[key]) == 0 {
			return nil, fmt.Errorf("%s is empty", key)
		}
	}
	cert, err := tls.X509KeyPair(data[CertFile], data[KeyFile])
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no certificate with its key: %w", CertFile, KeyFile, err)
	}
	// The clock first: x509 would say the same of a missing authority and of an expired one.
	if err := validAt(cert.Leaf, now); err != nil {
		return nil, fmt.Errorf("%s: %w", CertFile, err)
	}
	for _, host := range hosts {
		if err := cert.Leaf.VerifyHostname(host); err != nil {
			return nil, fmt.Errorf("%s isn't for the host by which the API server calls: %w", CertFile, err)
		}
	}
	cas, err := readAuthorities(data[CAFile])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CAFile, err)
	}
	p := &pair{tls: &cert}
	chains, err := p.verify(cas, now)
	if err != nil {
		return nil, fmt.Errorf("%s isn't signed by what is in %s: %w", CertFile, CAFile, err)
	}
	for _, chain := range chains {
		p.roots = p.roots.with(chain[len(chain)-1])
	}
	return p, nil
}

// verify gives the chains from the certificate to authorities that a client trusts.
func (p *pair) verify(trusted authorities, now time.Time) ([][]*x509.Certificate, error) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range trusted {
		roots.AddCert(c)
	}
	for _, der := range p.tls.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil { // what isn't one is of no use to a client either
			intermediates.AddCert(c)
		}
	}
	return p.leaf().Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// trustedBy says whether a client that trusts these accepts the certificate.
func (p *pair) trustedBy(trusted authorities, now time.Time) bool {
	_, err := p.verify(trusted, now)
	return err == nil
}

// validAt is nil while a certificate is valid by the clock.
func validAt(leaf *x509.Certificate, now time.Time) error {
	switch {
	case leaf == nil:
		return errors.New("the serving certificate can't be read")
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the serving certificate isn't valid before %s", leaf.NotBefore.Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the serving certificate expired at %s", leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// fingerprint names a certificate in the log and in Leases: the first bytes of its SHA-256.
func fingerprint(c *x509.Certificate) string {
	const bytes = 8
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:bytes])
}
