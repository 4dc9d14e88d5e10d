package certs

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// midday is when the pairs of these tests are made.
var midday = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func dataOf(p *Pair) map[string][]byte {
	return map[string][]byte{CertFile: p.Cert, KeyFile: p.Key, CAFile: p.CA}
}

func TestAPairThatNoAPIServerWouldAcceptIsRefused(t *testing.T) {
	good, other := selfSigned(t, midday, time.Hour), selfSigned(t, midday, time.Hour)
	for name, c := range map[string]struct {
		change func(data map[string][]byte)
		hosts  []string
		at     time.Time
		says   string // empty: it is good
	}{
		"as it was made":            {at: midday},
		"beside other authorities":  {at: midday, change: func(d map[string][]byte) { d[CAFile] = append(bytes.Clone(other.CA), good.CA...) }},
		"no certificate":            {at: midday, change: func(d map[string][]byte) { delete(d, CertFile) }, says: "tls.crt is empty"},
		"no authority":              {at: midday, change: func(d map[string][]byte) { delete(d, CAFile) }, says: "ca.crt is empty"},
		"another's key":             {at: midday, change: func(d map[string][]byte) { d[KeyFile] = other.Key }, says: "tls.crt and tls.key are no certificate with its key"},
		"another's authority":       {at: midday, change: func(d map[string][]byte) { d[CAFile] = other.CA }, says: "tls.crt isn't signed by what is in ca.crt"},
		"an authority in ruins":     {at: midday, change: func(d map[string][]byte) { d[CAFile] = []byte("ruins") }, says: "ca.crt: there is no certificate in PEM"},
		"expired":                   {at: midday.Add(2 * time.Hour), says: "tls.crt: the serving certificate expired at 2026-05-01T13:00:00Z"},
		"not valid yet":             {at: midday.Add(-2 * time.Hour), says: "tls.crt: the serving certificate isn't valid before 2026-05-01T11:00:00Z"},
		"one of several hosts only": {at: midday, hosts: []string{"127.0.0.1", "slipway-webhook.slipway-system.svc"}, says: "isn't for the host by which the API server calls"},
	} {
		t.Run(name, func(t *testing.T) {
			data := dataOf(good)
			if c.change != nil {
				c.change(data)
			}
			if c.hosts == nil {
				c.hosts = []string{"127.0.0.1"}
			}
			p, err := readPair(data, c.hosts, c.at)
			if c.says != "" {
				assert.ErrorContains(t, err, c.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, good.CA, p.roots.pem(), "those that vouch for it, and no others")
		})
	}
}

func TestAnErrorNeverHasTheKeyInIt(t *testing.T) {
	good, other := selfSigned(t, midday, time.Hour), selfSigned(t, midday, time.Hour)
	for _, key := range [][]byte{other.Key, good.Key[:len(good.Key)/2], append([]byte("x"), good.Key...), []byte("geheim")} {
		_, err := readPair(map[string][]byte{CertFile: good.Cert, KeyFile: key, CAFile: other.CA}, nil, midday)
		require.Error(t, err)
		const enough = 6
		for i := 0; i+enough <= len(key); i += enough {
			part := string(key[i : i+enough])
			if !strings.Contains("-----BEGIN PRIVATE KEY-----END PRIVATE KEY-----\n", part) {
				assert.NotContains(t, err.Error(), part)
			}
		}
	}
}
