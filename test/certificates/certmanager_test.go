package certificates

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
)

// certManager does what cert-manager does for a release: it keeps the pair in its Secret, and its injector adds the bundle to
// what is in the configurations, and takes nothing out. The real one is in real_test.go.
type certManager struct {
	r *release
	// injects is false while the injector is off: another mode's configurations don't ask for it.
	injects atomic.Bool
}

func (r *release) certManager(t *testing.T) *certManager {
	t.Helper()
	m := &certManager{r: r}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if m.injects.Load() {
				m.inject(ctx)
			}
			<-tick.C
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return m
}

// inject leaves to the next round what doesn't work in this one.
func (m *certManager) inject(ctx context.Context) {
	bundle, err := m.r.Admin.CoreV1().Secrets(m.r.namespace).Get(ctx, certs.AuthoritiesSecret, metav1.GetOptions{})
	if err != nil {
		return
	}
	have, err := m.r.caBundles(ctx)
	if err != nil {
		return
	}
	for name, old := range have {
		merged := old
		for ca := range strings.SplitAfterSeq(string(bundle.Data[certs.CAFile]), "-----END CERTIFICATE-----\n") {
			if !strings.Contains(old, ca) {
				merged += ca
			}
		}
		if merged != old {
			_ = m.r.setCABundle(ctx, name, []byte(merged), old)
		}
	}
}

// issue writes a new pair, with an authority of its own.
func (m *certManager) issue(t *testing.T) {
	t.Helper()
	pair := pairFor(t, time.Now(), 24*time.Hour)
	secrets := m.r.Admin.CoreV1().Secrets(m.r.namespace)
	if _, err := secrets.Get(t.Context(), certs.CertManagerSecret, metav1.GetOptions{}); err == nil {
		m.r.fill(t, certs.CertManagerSecret, pair)
		return
	}
	_, err := secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: certs.CertManagerSecret}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{certs.CertFile: pair.Cert, certs.KeyFile: pair.Key, certs.CAFile: pair.CA},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
}

func TestReplicasServeWithWhatCertManagerMakes(t *testing.T) {
	r := newReleaseIn(t, certs.CertManagerMode)
	m := r.certManager(t)
	m.injects.Store(true)
	first, second := r.start(t, "first", certs.CertManagerMode), r.start(t, "second", certs.CertManagerMode)
	require.NoError(t, first.Await(t.Context(), http.StatusInternalServerError))
	m.issue(t)
	r.ready(t, first, second)
	r.serves(t, certs.CertManagerSecret, first, second)
	r.awaitBundles(t, 1)

	load := r.startLoad(t)
	m.issue(t)
	r.awaitAuthorities(t, 2)
	r.serves(t, certs.CertManagerSecret, first, second)
	r.awaitAuthorities(t, 1)
	load.end(t)
}

// Until the injector has told the API server, the old pair is served, and a replica that hasn't got it isn't ready.
func TestANewPairIsServedOnlyOnceItIsTrusted(t *testing.T) {
	r := newRelease(t)
	m := r.certManager(t)
	m.injects.Store(true)
	m.issue(t)
	old := r.start(t, "old", certs.CertManagerMode)
	r.ready(t, old)
	served, err := old.certificate()
	require.NoError(t, err)
	load := r.startLoad(t)

	m.injects.Store(false)
	m.issue(t)
	restarted := r.start(t, "restarted", certs.CertManagerMode)
	r.serves(t, certs.CertManagerSecret, restarted)
	r.awaitAuthorities(t, 2)
	require.NoError(t, restarted.Await(t.Context(), http.StatusInternalServerError))
	assert.Contains(t, restarted.readiness(), "certificate: 200")
	assert.Contains(t, restarted.readiness(), "ca-bundle: 500")
	still, err := old.certificate()
	require.NoError(t, err)
	assert.Equal(t, served.Raw, still.Raw)

	m.injects.Store(true)
	r.ready(t, restarted)
	r.serves(t, certs.CertManagerSecret, old, restarted)
	load.end(t)
}

// changeOver is what a helm upgrade to another mode does: each replica ends when the next one is ready in its place.
func (r *release) changeOver(t *testing.T, load *load, replicas []*replica, mode certs.Mode, names ...string) {
	t.Helper()
	for i, name := range names {
		next := r.start(t, name, mode)
		r.ready(t, next)
		r.stop(t, replicas[i])
		replicas[i] = next
	}
	r.serves(t, mode.Secret(), replicas...)
	t.Logf("changed over to %s: %d creates", mode, load.launched.Load())
}

// A helm upgrade to another mode: its replicas start beside the old ones, which end when they are ready.
func TestAModeIsChangedBothWaysUnderLoadWithoutAGap(t *testing.T) {
	r := newRelease(t)
	m := r.certManager(t)
	replicas := []*replica{r.start(t, "self-0", certs.SelfSignedMode), r.start(t, "self-1", certs.SelfSignedMode)}
	r.ready(t, replicas...)
	load := r.startLoad(t)
	change := func(mode certs.Mode, names ...string) { r.changeOver(t, load, replicas, mode, names...) }

	m.injects.Store(true)
	m.issue(t)
	change(certs.CertManagerMode, "manager-0", "manager-1")
	m.issue(t) // a rotation there, beside the other mode's Secret
	r.serves(t, certs.CertManagerSecret, replicas...)
	r.awaitAuthorities(t, 2) // with the other mode's, for the way back

	m.injects.Store(false)
	change(certs.SelfSignedMode, "again-0", "again-1")
	r.patchSecret(t, certs.SelfSignedSecret, `{"data":null}`)
	r.serves(t, certs.SelfSignedSecret, replicas...)
	require.NoError(t, r.Admin.CoreV1().Secrets(r.namespace).Delete(t.Context(), certs.CertManagerSecret, metav1.DeleteOptions{}))
	r.awaitBundles(t, 1)
	load.end(t)
}
