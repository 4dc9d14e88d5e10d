//go:build full

package certificates

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/test/world"
)

const issuers = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: roots, namespace: NAMESPACE}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: ca, namespace: NAMESPACE}
spec:
  isCA: true
  commonName: slipway-ca
  secretName: slipway-webhook-issuer
  privateKey: {algorithm: ECDSA, size: 256}
  issuerRef: {name: roots}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: ca, namespace: NAMESPACE}
spec: {ca: {secretName: slipway-webhook-issuer}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: slipway-webhook, namespace: NAMESPACE}
spec:
  ipAddresses: [127.0.0.1]
  secretName: slipway-webhook-cert-manager
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  issuerRef: {name: ca}
`

// injected asks cert-manager for its injection, or no longer, as the chart does in each mode.
func (r *release) injected(t *testing.T, is bool) {
	t.Helper()
	from := "cert-manager.io/inject-ca-from-secret-"
	if is {
		from = "cert-manager.io/inject-ca-from-secret=" + r.namespace + "/" + certs.AuthoritiesSecret
	}
	for _, c := range []string{"mutatingwebhookconfiguration/" + r.fits(), "validatingwebhookconfiguration/" + r.verifies(), "validatingwebhookconfiguration/" + r.judges()} {
		_, err := r.Cluster.Kubectl(t.Context(), nil, "annotate", "--overwrite", c, from)
		require.NoError(t, err)
	}
}

func TestRealCertManagerIssuesInjectsAndRotatesWithoutAGap(t *testing.T) {
	r := newRelease(t)
	r.Cluster.StartCertManager(t)
	replicas := []*replica{r.start(t, "self-0", certs.SelfSignedMode), r.start(t, "self-1", certs.SelfSignedMode)}
	r.ready(t, replicas...)
	load := r.startLoad(t)
	change := func(mode certs.Mode, names ...string) { r.changeOver(t, load, replicas, mode, names...) }

	r.patchSecret(t, certs.AuthoritiesSecret, `{"metadata":{"annotations":{"cert-manager.io/allow-direct-injection":"true"}}}`)
	_, err := r.Cluster.Kubectl(t.Context(), strings.NewReader(strings.ReplaceAll(issuers, "NAMESPACE", r.namespace)), "apply", "-f", "-")
	require.NoError(t, err)
	r.injected(t, true)
	change(certs.CertManagerMode, "manager-0", "manager-1")

	for _, secret := range []string{certs.CertManagerSecret, "slipway-webhook-issuer"} {
		old := r.secret(t, certs.CertManagerSecret).Data[certs.CertFile]
		// cert-manager makes what is gone anew. What an authority signed is renewed only when it is gone itself.
		secrets := r.Admin.CoreV1().Secrets(r.namespace)
		require.NoError(t, secrets.Delete(t.Context(), secret, metav1.DeleteOptions{}))
		if secret != certs.CertManagerSecret {
			r.await(t, secret, nil)
			require.NoError(t, secrets.Delete(t.Context(), certs.CertManagerSecret, metav1.DeleteOptions{}))
		}
		r.await(t, certs.CertManagerSecret, old)
		r.serves(t, certs.CertManagerSecret, replicas...)
		t.Logf("rotated after %s was deleted: %d creates", secret, load.launched.Load())
	}
	r.awaitAuthorities(t, 2) // with that of the other mode; the injector itself leaves in the configurations what it once wrote

	r.injected(t, false)
	change(certs.SelfSignedMode, "again-0", "again-1")
	r.awaitBundles(t, 2)
	load.end(t)
}

// await waits until a Secret has another certificate.
func (r *release) await(t *testing.T, name string, old []byte) {
	t.Helper()
	started := time.Now()
	require.NoError(t, world.Eventually(t.Context(), func() error {
		secret, err := r.Admin.CoreV1().Secrets(r.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && (len(secret.Data[certs.CertFile]) == 0 || bytes.Equal(secret.Data[certs.CertFile], old)) {
			err = assert.AnError
		}
		return err
	}), name)
	t.Logf("%s was made within %s", name, time.Since(started))
}
