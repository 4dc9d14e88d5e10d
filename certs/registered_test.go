package certs

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"pgregory.net/rapid"
)

func configurationOf(bundles ...[]byte) *admissionregistrationv1.ValidatingWebhookConfiguration {
	c := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "slipway", ResourceVersion: "7"}}
	for i, bundle := range bundles {
		c.Webhooks = append(c.Webhooks, admissionregistrationv1.ValidatingWebhook{
			Name:         string(rune('a' + i)),
			ClientConfig: admissionregistrationv1.WebhookClientConfig{CABundle: bundle, URL: new("https://127.0.0.1")},
		})
	}
	return c
}

func TestAPatchChangesNothingButTheCABundleOfTheVersionThatWasRead(t *testing.T) {
	wanted := authorityOf(t, time.Hour)
	c := configurationOf(nil, wanted.pem(), []byte("ruins"))
	r := readRegistered(c)
	changes := r.changes(wanted, nil)
	assert.Equal(t, map[string][]byte{"a": wanted.pem(), "c": wanted.pem()}, changes)
	patch, err := r.caBundlePatch(changes)
	require.NoError(t, err)
	before, err := json.Marshal(c)
	require.NoError(t, err)
	merged, err := strategicpatch.StrategicMergePatch(before, patch, c)
	require.NoError(t, err)
	after := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	require.NoError(t, json.Unmarshal(merged, after))
	assert.Equal(t, configurationOf(wanted.pem(), wanted.pem(), wanted.pem()), after)
	assert.Contains(t, string(patch), `"resourceVersion":"7"`)
	assert.Nil(t, readRegistered(after).changes(wanted, nil))
}

// Whatever stands in a caBundle, after a change all that is wanted is trusted, nothing that is to be dropped, and what others
// have put there stays; and then there is nothing more to change.
func TestAChangeAddsAndDropsAndLeavesTheRest(t *testing.T) {
	pool := make([]authorities, 6)
	for i := range pool {
		pool[i] = authorityOf(t, time.Hour)
	}
	pick := func(t *rapid.T, label string) authorities {
		var some authorities
		for _, i := range rapid.SliceOfDistinct(rapid.IntRange(0, len(pool)-1), rapid.ID[int]).Draw(t, label) {
			some = some.with(pool[i]...)
		}
		return some
	}
	rapid.Check(t, func(t *rapid.T) {
		wanted := pick(t, "wanted")
		drop := names{}
		for _, c := range pick(t, "drop").missing(wanted) {
			drop[fingerprint(c)] = true
		}
		held := pick(t, "held")
		bundle := held.pem()
		if rapid.Bool().Draw(t, "twice") {
			bundle = append(bundle, bundle...)
		}
		r := readRegistered(configurationOf(bundle))
		changes := r.changes(wanted, drop)
		after := r.trusts["a"]
		if changes != nil {
			var err error
			after, err = readAuthorities(changes["a"])
			require.NoError(t, err)
		}
		kept := held.without(drop.has)
		assert.Empty(t, wanted.missing(after))
		assert.Empty(t, kept.missing(after))
		assert.Len(t, after, len(kept.with(wanted...)))
		assert.Nil(t, readRegistered(configurationOf(after.pem())).changes(wanted, drop))
	})
}

func TestACertificateIsAcceptedOnlyIfEveryWebhookTrustsIt(t *testing.T) {
	mine, other := selfSigned(t, midday, time.Hour), selfSigned(t, midday, time.Hour)
	p, err := readPair(dataOf(mine), nil, midday)
	require.NoError(t, err)
	both := bytes.Join([][]byte{other.CA, mine.CA}, nil)
	good, bad := readRegistered(configurationOf(mine.CA, both)), readRegistered(configurationOf(both, other.CA))
	assert.NoError(t, accept(nil, p, midday))
	assert.NoError(t, accept([]*registered{good}, p, midday))
	assert.ErrorContains(t, accept([]*registered{good, bad}, p, midday), "the caBundle of b in webhook configuration slipway lacks the authority")
}

func TestAuthoritiesAreReadAsFarAsTheyCanBe(t *testing.T) {
	pair := selfSigned(t, midday, time.Hour)
	for name, c := range map[string]struct {
		data []byte
		n    int
		says string
	}{
		"nothing":              {nil, 0, ""},
		"space":                {[]byte("\n \n"), 0, ""},
		"one":                  {pair.CA, 1, ""},
		"one, twice":           {append(bytes.Clone(pair.CA), pair.CA...), 1, ""},
		"with a key before it": {append(bytes.Clone(pair.Key), pair.CA...), 1, ""},
		"with ruins after it":  {append(bytes.Clone(pair.CA), "ruins"...), 1, "there is no certificate in PEM"},
		"a certificate of air": {encode("CERTIFICATE", []byte("air")), 0, "a certificate can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			cas, err := readAuthorities(c.data)
			assert.Len(t, cas, c.n)
			if c.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.says)
			}
		})
	}
}
