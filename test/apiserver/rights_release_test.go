package apiserver

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// release is what the chart creates for certificates, with webhook configurations of its own that nothing is sent to.
type release struct {
	w         *world.World
	namespace string
	mode      certs.Mode
	// names are those of its webhook configurations, by the chart's.
	names map[string]string
}

// newRelease has a certificate already, if cert-manager makes it or an earlier replica has.
func newRelease(t *testing.T, w *world.World, mode certs.Mode, earlier bool) *release {
	t.Helper()
	r := &release{w: w, namespace: w.Namespace(t), mode: mode, names: map[string]string{}}
	for _, name := range []string{webhook.ConfigurationName, webhook.VerifyConfigurationName, webhook.PolicyConfigurationName} {
		r.names[name] = r.namespace + "-" + name
	}
	secrets := map[string]map[string][]byte{certs.SelfSignedSecret: nil, certs.AuthoritiesSecret: nil}
	var authority []byte
	if mode == certs.CertManagerMode || earlier {
		pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
		require.NoError(t, err)
		authority = pair.CA
		secrets[mode.Secret()] = map[string][]byte{certs.CertFile: pair.Cert, certs.KeyFile: pair.Key, certs.CAFile: pair.CA}
	}
	for name, data := range secrets {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
		_, err := w.Admin.CoreV1().Secrets(r.namespace).Create(t.Context(), secret, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	r.register(t, authority)
	return r
}

func (r *release) register(t *testing.T, authority []byte) {
	t.Helper()
	at := webhook.AtAddress("127.0.0.1", 1, authority)
	nobody := &metav1.LabelSelector{MatchLabels: map[string]string{"nobody": "has-this"}}
	fits, verifies, judges := webhook.Configuration(at), webhook.VerifyConfiguration(at, nil), webhook.PolicyConfiguration(at)
	fits.Name, verifies.Name, judges.Name = r.names[fits.Name], r.names[verifies.Name], r.names[judges.Name]
	fits.Webhooks[0].NamespaceSelector, verifies.Webhooks[0].NamespaceSelector, judges.Webhooks[0].NamespaceSelector = nobody, nobody, nobody
	judges.Webhooks[0].Rules[0].Resources = []string{"spawnpolicies"} // cluster policies have no namespace
	api := r.w.Admin.AdmissionregistrationV1()
	_, fitsErr := api.MutatingWebhookConfigurations().Create(t.Context(), fits, metav1.CreateOptions{})
	_, verifiesErr := api.ValidatingWebhookConfigurations().Create(t.Context(), verifies, metav1.CreateOptions{})
	_, judgesErr := api.ValidatingWebhookConfigurations().Create(t.Context(), judges, metav1.CreateOptions{})
	require.NoError(t, errors.Join(fitsErr, verifiesErr, judgesErr))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		assert.NoError(t, errors.Join(
			api.MutatingWebhookConfigurations().Delete(ctx, fits.Name, metav1.DeleteOptions{}),
			api.ValidatingWebhookConfigurations().Delete(ctx, verifies.Name, metav1.DeleteOptions{}),
			api.ValidatingWebhookConfigurations().Delete(ctx, judges.Name, metav1.DeleteOptions{}),
		))
	})
}

func (r *release) keeperOptions() certs.KeeperOptions {
	return certs.KeeperOptions{
		Mode: r.mode, Hosts: []string{"127.0.0.1"}, PropagationDelay: time.Millisecond,
		Mutating:   []string{r.names[webhook.ConfigurationName]},
		Validating: []string{r.names[webhook.VerifyConfigurationName], r.names[webhook.PolicyConfigurationName]},
	}
}

// trusting is a client that trusts what a replica serves with that is ready.
func (r *release) trusting(t *testing.T) *http.Client {
	t.Helper()
	secret, err := r.w.Admin.CoreV1().Secrets(r.namespace).Get(t.Context(), r.mode.Secret(), metav1.GetOptions{})
	require.NoError(t, err)
	return world.Trusting(secret.Data[certs.CAFile])
}
