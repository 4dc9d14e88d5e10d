package certificates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/test/world"
)

func TestTheFirstReplicaMakesACertificateAndTheNextServesWithIt(t *testing.T) {
	r := newRelease(t)
	first := r.start(t, "first", certs.SelfSignedMode)
	r.ready(t, first)
	r.awaitBundles(t, 1)
	made := r.secret(t, certs.SelfSignedSecret).Data
	r.serves(t, certs.SelfSignedSecret, first)

	second := r.start(t, "second", certs.SelfSignedMode)
	r.ready(t, second)
	r.serves(t, certs.SelfSignedSecret, second)
	assert.Equal(t, made, r.secret(t, certs.SelfSignedSecret).Data)
	_, err := launcher.Launch(t.Context(), r.Hub, world.Alice, r.hub, launcher.Options{DryRun: true})
	require.NoError(t, err)
}

func TestRotationUnderLoadHasNoGap(t *testing.T) {
	r := newRelease(t)
	first, second := r.start(t, "first", certs.SelfSignedMode), r.start(t, "second", certs.SelfSignedMode)
	r.ready(t, first, second)
	load := r.startLoad(t)
	for name, patch := range map[string]func() string{
		"on demand": func() string {
			at := time.Now().Add(time.Second).UTC().Format(time.RFC3339) // not in the second in which the last one was made
			return `{"metadata":{"annotations":{"slipway.dev/rotate-at":"` + at + `"}}}`
		},
		"data gone":   func() string { return `{"data":null}` },
		"wrong bytes": func() string { return `{"data":{"tls.crt":"bm9uc2Vuc2U="}}` },
		"wrong key":   func() string { return `{"data":{"tls.key":"` + otherKey(t) + `"}}` },
	} {
		old := r.secret(t, certs.SelfSignedSecret).Data[certs.CertFile]
		r.patchSecret(t, certs.SelfSignedSecret, patch())
		require.NoError(t, world.Eventually(t.Context(), func() error {
			if now := r.secret(t, certs.SelfSignedSecret).Data[certs.CertFile]; len(now) < 100 || string(now) == string(old) {
				return assert.AnError
			}
			return nil
		}), name)
		r.awaitBundles(t, 2)
		r.serves(t, certs.SelfSignedSecret, first, second)
		r.awaitBundles(t, 1)
	}
	load.end(t)
}
