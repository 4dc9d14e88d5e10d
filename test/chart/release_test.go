package chart

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/webhook"
)

// A release on a real API server, which has no node: what runs in pods is tested where there is one.
func TestAReleaseFromInstallToUninstall(t *testing.T) {
	c := prepared(t)
	admin := kubernetes.NewForConfigOrDie(c.Config())
	release := func(command string, v values) { t.Helper(); runRelease(t, c, command, v) }
	release("install", nil)

	// What the webhook writes at run time.
	filled := map[string][]byte{"ca.crt": []byte("authorities")}
	secrets := admin.CoreV1().Secrets(namespace)
	for _, name := range []string{"slipway-webhook-self-signed", "slipway-webhook-ca"} {
		secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, corev1.SecretTypeOpaque, secret.Type)
		secret.Data = filled
		_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	configurations := admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	patch := []byte(`[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"` + certificate(t) + `"}]`)
	_, err := configurations.Patch(t.Context(), webhook.ConfigurationName, types.JSONPatchType, patch, metav1.PatchOptions{})
	require.NoError(t, err)

	keeps := func(after string) {
		t.Helper()
		for _, name := range []string{"slipway-webhook-self-signed", "slipway-webhook-ca"} {
			secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
			require.NoError(t, err)
			assert.Equal(t, filled, secret.Data, "%s after %s", name, after)
		}
		configuration, err := configurations.Get(t.Context(), webhook.ConfigurationName, metav1.GetOptions{})
		require.NoError(t, err)
		assert.NotEmpty(t, configuration.Webhooks[0].ClientConfig.CABundle, "after %s", after)
	}
	release("upgrade", values{"admission": values{"mutate": values{"timeoutSeconds": 7}}, "webhook": values{"replicas": 3}})
	keeps("an upgrade")
	release("upgrade", values{"certificates": values{"mode": "certManager"}})
	keeps("a switch to cert-manager")
	release("upgrade", values{"certificates": values{"mode": "selfSigned"}})
	keeps("a switch back")
	_, err = c.Kubectl(t.Context(), nil, "--namespace", namespace, "wait", "--for=delete", "--timeout=30s", "certificate/slipway-webhook")
	require.NoError(t, err)

	release("uninstall", nil)
	_, err = configurations.Get(t.Context(), webhook.ConfigurationName, metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "the configuration is gone")
	crds, err := c.Kubectl(t.Context(), nil, "get", "--filename", folder+"/files/crds", "--output",
		"jsonpath={range .items[*]}{.metadata.name}{.metadata.deletionTimestamp} {end}")
	require.NoError(t, err)
	assert.Equal(t, "clusterspawnpolicies.slipway.dev spawnpolicies.slipway.dev ", crds, "policies outlive the release")
	left, err := secrets.List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=slipway"})
	require.NoError(t, err)
	assert.Empty(t, left.Items)

	release("install", values{"crds": values{"keep": false}})
	release("uninstall", nil)
	_, err = c.Kubectl(t.Context(), nil, "wait", "--for=delete", "--timeout=30s", "--filename", folder+"/files/crds")
	assert.NoError(t, err, "unless the values say so")
}

// runRelease has helm install, upgrade or uninstall the release.
func runRelease(t *testing.T, c *kube.Cluster, command string, v values) {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	args := []string{command, "slipway", "--namespace", namespace, "--kubeconfig", c.Kubeconfig(), "--no-hooks"}
	if command != "uninstall" {
		// The CRDs are there already, by a hand that wasn't Helm's.
		args = append(args, folder, "--values", "-", "--take-ownership")
	}
	_, says, err := helm(t, string(text), args...)
	require.NoError(t, err, says)
}

// certificate gives one in PEM and base64: the API server takes nothing else for an authority.
func certificate(t *testing.T) string {
	t.Helper()
	pair, err := certs.SelfSigned([]string{"slipway-webhook.slipway-system.svc"}, time.Now(), time.Hour)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(pair.CA)
}
