package certificates

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
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
	r.launches(t)
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
			if now := r.secret(t, certs.SelfSignedSecret).Data[certs.CertFile]; len(now) < 100 || bytes.Equal(now, old) {
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

// The certificate is renewed at two thirds of its time. The replicas' clock is 61 days late at first, so that what they make
// is good by the API server's clock too.
func TestACertificateIsRenewedLongBeforeItExpires(t *testing.T) {
	r := newRelease(t)
	var late atomic.Int64
	late.Store(int64(61 * 24 * time.Hour))
	clock := func(o *certs.KeeperOptions) {
		o.Now = func() time.Time { return time.Now().Add(-time.Duration(late.Load())) }
	}
	first, second := r.start(t, "first", certs.SelfSignedMode, clock), r.start(t, "second", certs.SelfSignedMode, clock)
	r.ready(t, first, second)
	made := r.secret(t, certs.SelfSignedSecret).Data[certs.CertFile]
	load := r.startLoad(t)
	late.Store(0)
	r.awaitBundles(t, 2)
	r.serves(t, certs.SelfSignedSecret, first, second)
	r.awaitBundles(t, 1)
	load.end(t)
	assert.NotEqual(t, made, r.secret(t, certs.SelfSignedSecret).Data[certs.CertFile])
}

func TestAClusterThatSleptPastExpiryMendsItself(t *testing.T) {
	r := newRelease(t)
	expired := pairFor(t, time.Now().Add(-100*24*time.Hour), 90*24*time.Hour)
	r.fill(t, certs.SelfSignedSecret, expired)
	r.patchSecret(t, certs.AuthoritiesSecret, data(certs.CAFile, expired.CA))
	r.inject(t, expired.CA)
	one := r.start(t, "one", certs.SelfSignedMode)
	r.ready(t, one)
	r.awaitBundles(t, 1)
	r.serves(t, certs.SelfSignedSecret, one)
	assert.NotEqual(t, expired.CA, r.secret(t, certs.AuthoritiesSecret).Data[certs.CAFile], "nobody needs the old one")
	r.launches(t)
}

// As above, but the replicas slept too: what they serve with expires under their eyes.
func TestAReplicaThatSleptPastExpiryMendsItself(t *testing.T) {
	r := newRelease(t)
	var late atomic.Int64
	late.Store(int64(100 * 24 * time.Hour))
	clock := func(o *certs.KeeperOptions) {
		o.Now = func() time.Time { return time.Now().Add(-time.Duration(late.Load())) }
	}
	one := r.start(t, "one", certs.SelfSignedMode, clock)
	r.ready(t, one)
	require.NoError(t, world.Eventually(t.Context(), func() error {
		err := r.launch(t)
		if err != nil && strings.Contains(err.Error(), "expired") {
			return nil
		}
		return errors.Join(errors.New("servers aren't refused for an expired certificate"), err)
	}))
	late.Store(0)
	r.launches(t)
}

// helm upgrade --force does this, and whoever applies rendered manifests.
func TestEmptiedCABundlesAreFilledAgainAtOnce(t *testing.T) {
	r := newRelease(t)
	one := r.start(t, "one", certs.SelfSignedMode)
	r.ready(t, one)
	r.inject(t, nil)
	started := time.Now()
	r.awaitBundles(t, 1)
	t.Logf("all were filled again within %s", time.Since(started))
	r.ready(t, one)
	r.launches(t)
}

func TestWhatIsDeletedIsMadeAnewAndMissedByNobody(t *testing.T) {
	r := newRelease(t)
	one := r.start(t, "one", certs.SelfSignedMode)
	r.ready(t, one)
	load := r.startLoad(t)
	secrets := r.Admin.CoreV1().Secrets(r.namespace)
	served, err := one.certificate()
	require.NoError(t, err)
	for _, name := range []string{certs.SelfSignedSecret, certs.AuthoritiesSecret} {
		require.NoError(t, secrets.Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
	two := r.start(t, "two", certs.SelfSignedMode)
	require.NoError(t, two.Await(t.Context(), http.StatusInternalServerError))
	assert.Contains(t, two.readiness(), "certificate: 500")
	still, err := one.certificate()
	require.NoError(t, err)
	assert.Equal(t, served.Raw, still.Raw, "it is in memory")

	r.emptySecret(t, certs.SelfSignedSecret)
	r.emptySecret(t, certs.AuthoritiesSecret)
	r.ready(t, two)
	r.serves(t, certs.SelfSignedSecret, one, two)
	r.awaitBundles(t, 1)
	load.end(t)
}

// Leader election lets two lead at once when one hangs.
func TestTwoLeadersMakeOneCertificate(t *testing.T) {
	r := newRelease(t)
	var group sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer group.Wait()
	defer stop()
	var made atomic.Int32
	var keepers []*certs.Keeper
	for _, name := range []string{"first", "second"} {
		o := r.keeperOptions(certs.SelfSignedMode)
		o.Namespace, o.Config = r.namespace, r.config
		o.Log = funcr.New(func(_, args string) {
			t.Log(name, args)
			if strings.Contains(args, "made a serving certificate") {
				made.Add(1)
			}
		}, funcr.Options{})
		keeper, err := certs.NewKeeper(o)
		require.NoError(t, err)
		group.Go(func() { assert.NoError(t, keeper.Start(ctx)) })
		group.Go(func() { keeper.Lead(ctx, r.noLeases()) })
		keepers = append(keepers, keeper)
	}
	r.awaitBundles(t, 1)
	for range 3 {
		made.Store(0)
		r.patchSecret(t, certs.SelfSignedSecret, `{"data":null}`)
		require.NoError(t, world.Eventually(t.Context(), func() error {
			if made.Load() == 0 {
				return errors.New("nobody made one")
			}
			return nil
		}))
		r.awaitBundles(t, 1)
		assert.Equal(t, int32(1), made.Load())
	}
	for _, keeper := range keepers {
		assert.NoError(t, world.Eventually(t.Context(), func() error { return keeper.Registered(nil) }))
	}
}
