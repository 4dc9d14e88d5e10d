package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// authorities are certificates that a client trusts, each once, in the order in which they came. A value is never changed.
type authorities []*x509.Certificate

// errNoCertificate is wrong with a bundle that has something else.
var errNoCertificate = errors.New("there is no certificate in PEM")

// readAuthorities reads PEM. What can be read is given even if there is an error.
func readAuthorities(data []byte) (authorities, error) {
	var all authorities
	var errs []error
	for rest := bytes.TrimSpace(data); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			errs = append(errs, errNoCertificate)
			break
		}
		rest = bytes.TrimSpace(rest)
		if block.Type != "CERTIFICATE" {
			continue // a key or parameters, which some tools leave there
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			errs = append(errs, fmt.Errorf("a certificate can't be read: %w", err))
			continue
		}
		all = all.with(c)
	}
	return all, errors.Join(errs...)
}

// with adds those that are missing, at the end.
func (a authorities) with(more ...*x509.Certificate) authorities {
	sum := slices.Clip(a)
	for _, c := range more {
		if !slices.ContainsFunc(sum, c.Equal) {
			sum = append(sum, c)
		}
	}
	return sum
}

// without leaves out those for which gone is true.
func (a authorities) without(gone func(*x509.Certificate) bool) authorities {
	return slices.DeleteFunc(slices.Clone(a), gone)
}

// unexpired are those that can still vouch for something.
func (a authorities) unexpired(now time.Time) authorities {
	return a.without(func(c *x509.Certificate) bool { return now.After(c.NotAfter) })
}

// missing are those that another list lacks.
func (a authorities) missing(from authorities) authorities {
	return a.without(func(c *x509.Certificate) bool { return slices.ContainsFunc(from, c.Equal) })
}

// fingerprints are their names.
func (a authorities) fingerprints() []string {
	names := make([]string, 0, len(a))
	for _, c := range a {
		names = append(names, fingerprint(c))
	}
	return names
}

// String is for the log.
func (a authorities) String() string { return strings.Join(a.fingerprints(), ",") }

// pem writes them down.
func (a authorities) pem() []byte {
	var data []byte
	for _, c := range a {
		data = append(data, encode("CERTIFICATE", c.Raw)...)
	}
	return data
}

// names are fingerprints.
type names map[string]bool

func (n names) has(c *x509.Certificate) bool { return n[fingerprint(c)] }
