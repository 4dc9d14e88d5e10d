package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/certs"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestSelfSignedIsTrustedForItsHostsAndItsTime(t *testing.T) {
	pair, err := certs.SelfSigned([]string{"127.0.0.1", "::1", "slipway.slipway-system.svc"}, noon, 24*time.Hour)
	require.NoError(t, err)
	leaf := parse(t, pair.Cert)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pair.CA))

	for name, c := range map[string]struct {
		host string
		at   time.Time
		good bool
	}{
		"an IPv4 address":                 {"127.0.0.1", noon, true},
		"an IPv6 address":                 {"::1", noon, true},
		"a DNS name":                      {"slipway.slipway-system.svc", noon, true},
		"another DNS name":                {"slipway.other.svc", noon, false},
		"another address":                 {"127.0.0.2", noon, false},
		"a clock 59 minutes slow":         {"127.0.0.1", noon.Add(-59 * time.Minute), true},
		"a clock 61 minutes slow":         {"127.0.0.1", noon.Add(-61 * time.Minute), false},
		"the last second":                 {"127.0.0.1", noon.Add(24 * time.Hour), true},
		"the second after":                {"127.0.0.1", noon.Add(24*time.Hour + time.Second), false},
		"an address written as DNS name":  {"localhost", noon, false},
		"a DNS name below one of its own": {"a.slipway.slipway-system.svc", noon, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := leaf.Verify(x509.VerifyOptions{
				DNSName: c.host, Roots: roots, CurrentTime: c.at,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			assert.Equal(t, c.good, err == nil, "verify: %v", err)
		})
	}
}

func TestSelfSignedHasAUsableKeyThatIsP256AndNoAuthority(t *testing.T) {
	pair, err := certs.SelfSigned([]string{"localhost"}, noon, time.Hour)
	require.NoError(t, err)
	loaded, err := tls.X509KeyPair(pair.Cert, pair.Key)
	require.NoError(t, err)
	key, ok := loaded.PrivateKey.(*ecdsa.PrivateKey)
	require.True(t, ok)
	assert.Equal(t, elliptic.P256(), key.Curve)
	assert.False(t, parse(t, pair.Cert).IsCA, "the serving certificate must not sign others")
	assert.True(t, parse(t, pair.CA).IsCA)

	again, err := certs.SelfSigned([]string{"localhost"}, noon, time.Hour)
	require.NoError(t, err)
	assert.NotEqual(t, parse(t, pair.Cert).SerialNumber, parse(t, again.Cert).SerialNumber)
}

func TestSelfSignedRefusesWhatNobodyCouldUse(t *testing.T) {
	for name, c := range map[string]struct {
		hosts []string
		valid time.Duration
		says  string
	}{
		"no hosts":          {nil, time.Hour, "name at least one"},
		"no time":           {[]string{"localhost"}, 0, "for how long"},
		"a time that ended": {[]string{"localhost"}, -time.Hour, "for how long"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := certs.SelfSigned(c.hosts, noon, c.valid)
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func parse(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(data)
	require.NotNil(t, block)
	require.Empty(t, rest)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}
