// Package certificates tests on a real API server that its calls are answered with a certificate that it trusts, whatever
// happens to certificates, Secrets and webhook configurations.
package certificates

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// The periods of the tests' replicas.
const (
	propagation = 2 * time.Second
	dropAfter   = 2 * time.Second
	lookEvery   = 200 * time.Millisecond
)

// installCRDs is done once; the API server is one for all tests of this process.
var installCRDs sync.Once

// release is what helm installs in both modes together, without a chart: namespace, account, Secrets without data, and webhook configurations
// without a caBundle. There may be several, each for the pods of its own hub.
type release struct {
	*world.World
	// namespace is the webhook's, and hub that of the pods.
	namespace, hub string
	config         *rest.Config
	front          *front
}

var releases atomic.Int32

// newRelease makes one in which certificates are made by itself.
func newRelease(t *testing.T) *release {
	t.Helper()
	return newReleaseIn(t, certs.SelfSignedMode)
}

// newReleaseIn gives the account the rights that the chart gives it in a mode, and no others.
func newReleaseIn(t *testing.T, mode certs.Mode) *release {
	t.Helper()
	cluster := kube.ForTest(t)
	installCRDs.Do(func() {
		_, err := cluster.Kubectl(t.Context(), nil, "apply", "-f", world.CRDFolder)
		require.NoError(t, err)
		require.NoError(t, cluster.AwaitCRDs(t.Context(), world.CRDFolder))
	})
	admin := cluster.Config()
	admin.WarningHandlerWithContext = rest.NoWarnings{}
	r := &release{World: &world.World{
		Cluster: cluster, Admin: kubernetes.NewForConfigOrDie(admin), Dynamic: dynamic.NewForConfigOrDie(admin),
	}}
	r.namespace = fmt.Sprintf("slipway-%d", releases.Add(1))
	r.hub = r.namespace + "-hub"
	for _, ns := range []string{r.namespace, r.hub} {
		require.NoError(t, cluster.CreateNamespace(t.Context(), ns, map[string]string{"test": ns}))
	}
	var err error
	r.config, err = r.WebhookAccount(t.Context(), r.namespace, r.namespace, world.WebhookRightsIn(t, mode).Renamed(map[string]string{
		webhook.ConfigurationName: r.fits(), webhook.VerifyConfigurationName: r.verifies(), webhook.PolicyConfigurationName: r.judges(),
	}))
	require.NoError(t, err)
	hub, err := r.Account(t.Context(), r.hub, "hub", []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}}})
	require.NoError(t, err)
	r.Hub = kubernetes.NewForConfigOrDie(hub)
	for _, policy := range []string{launches, image} {
		require.NoError(t, r.TryPut(t, r.hub, policy))
	}
	for _, name := range []string{certs.SelfSignedSecret, certs.AuthoritiesSecret} {
		r.emptySecret(t, name)
	}
	r.front = openFront(t)
	r.register(t)
	return r
}

const launches = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: NAMESPACE, name: hub}}]
`

const image = `
kind: SpawnPolicy
metadata: {name: image}
spec: {defaults: {image: "quay.io/jupyter/minimal-notebook:2026-01-05"}}
`

func (r *release) emptySecret(t *testing.T, name string) {
	t.Helper()
	_, err := r.Admin.CoreV1().Secrets(r.namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	require.NoError(t, err)
}

// The names of the webhook configurations.
func (r *release) fits() string     { return r.namespace + "-fits" }
func (r *release) verifies() string { return r.namespace + "-verifies" }
func (r *release) judges() string   { return r.namespace + "-judges" }

// register creates the webhook configurations for the pods of this release's hub.
func (r *release) register(t *testing.T) {
	t.Helper()
	at := webhook.AtAddress("127.0.0.1", r.front.port, nil)
	ours := &metav1.LabelSelector{MatchLabels: map[string]string{"test": r.hub}}
	api := r.Admin.AdmissionregistrationV1()
	fits := webhook.Configuration(at)
	fits.Name, fits.Webhooks[0].NamespaceSelector = r.fits(), ours
	_, err := api.MutatingWebhookConfigurations().Create(t.Context(), fits, metav1.CreateOptions{})
	require.NoError(t, err)
	verifies := webhook.VerifyConfiguration(at, nil)
	verifies.Name, verifies.Webhooks[0].NamespaceSelector = r.verifies(), ours
	judges := webhook.PolicyConfiguration(at)
	judges.Name = r.judges()
	judges.Webhooks[0].NamespaceSelector = ours
	judges.Webhooks[0].Rules[0].Resources = []string{"spawnpolicies"} // cluster policies are every release's here
	for _, c := range []*admissionregistrationv1.ValidatingWebhookConfiguration{verifies, judges} {
		_, err := api.ValidatingWebhookConfigurations().Create(t.Context(), c, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	t.Cleanup(func() { r.unregister(t) })
}

func (r *release) unregister(t *testing.T) {
	t.Helper()
	ctx, api := context.WithoutCancel(t.Context()), r.Admin.AdmissionregistrationV1()
	errs := []error{api.MutatingWebhookConfigurations().Delete(ctx, r.fits(), metav1.DeleteOptions{})}
	for _, name := range []string{r.verifies(), r.judges()} {
		errs = append(errs, api.ValidatingWebhookConfigurations().Delete(ctx, name, metav1.DeleteOptions{}))
	}
	for _, err := range errs {
		if !apierrors.IsNotFound(err) {
			assert.NoError(t, err)
		}
	}
}

// replica is one running webhook of the release.
type replica struct {
	*world.Replica
	name string
}

// start starts a replica and waits for nothing.
func (r *release) start(t *testing.T, name string, mode certs.Mode, changes ...func(*certs.KeeperOptions)) *replica {
	t.Helper()
	started, err := world.StartReplica(context.WithoutCancel(t.Context()), r.config, func(o *webhook.Options) {
		o.Namespace, o.Identity, o.OwnNamespaces = r.namespace, name, []string{r.namespace}
		// Go's server waits 5 s for a connection on which nothing was sent yet; the API server opens such ones to spare.
		o.DrainTimeout = 10 * time.Second
		o.Certificates = r.keeperOptions(mode)
		o.Certificates.Log = testr.NewWithOptions(t, testr.Options{LogTimestamp: true}).WithName(name)
		for _, change := range changes {
			change(&o.Certificates)
		}
	})
	require.NoError(t, err)
	one := &replica{started, name}
	r.front.add(one)
	t.Cleanup(func() { r.stop(t, one) })
	return one
}

func (r *release) keeperOptions(mode certs.Mode) certs.KeeperOptions {
	return certs.KeeperOptions{
		Mode: mode, Hosts: []string{"127.0.0.1"}, Mutating: []string{r.fits()}, Validating: []string{r.verifies(), r.judges()},
		PropagationDelay: propagation, DropAfter: dropAfter, LookEvery: lookEvery,
	}
}

// stop ends a replica as a rolling update does: it isn't ready any more, drains, and is gone.
func (r *release) stop(t *testing.T, one *replica) {
	t.Helper()
	one.Stop()
	if err, running := <-one.Ended; running {
		assert.NoError(t, err)
		close(one.Ended)
	}
	r.front.remove(one)
}

// ready waits for replicas, and until the front knows.
func (r *release) ready(t *testing.T, replicas ...*replica) {
	t.Helper()
	for _, one := range replicas {
		require.NoError(t, world.Eventually(t.Context(), func() error {
			if !r.front.knows(one) {
				return fmt.Errorf("%s isn't ready: %s", one.name, one.readiness())
			}
			return nil
		}))
	}
}

// readiness is what /readyz says in detail.
func (r *replica) readiness() string {
	checks := strings.Builder{}
	for _, check := range []string{"certificate", "ca-bundle", "listening", "policies"} {
		got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz/%s", r.Health, check))
		if err != nil {
			return err.Error()
		}
		got.Body.Close()
		fmt.Fprintf(&checks, "%s: %s; ", check, got.Status)
	}
	return checks.String()
}

// secret reads a Secret.
func (r *release) secret(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	secret, err := r.Admin.CoreV1().Secrets(r.namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return secret
}

// patchSecret is kubectl patch.
func (r *release) patchSecret(t *testing.T, name, patch string) {
	t.Helper()
	_, err := r.Admin.CoreV1().Secrets(r.namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(t, err)
}

// data is a patch of one key of a Secret.
func data(key string, value []byte) string {
	return `{"data":{"` + key + `":"` + base64.StdEncoding.EncodeToString(value) + `"}}`
}

// fill puts a pair into a Secret that is there.
func (r *release) fill(t *testing.T, name string, pair *certs.Pair) {
	t.Helper()
	secret := r.secret(t, name)
	secret.Data = map[string][]byte{certs.CertFile: pair.Cert, certs.KeyFile: pair.Key, certs.CAFile: pair.CA}
	_, err := r.Admin.CoreV1().Secrets(r.namespace).Update(t.Context(), secret, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// inject puts one and the same caBundle into all configurations.
func (r *release) inject(t *testing.T, bundle []byte) {
	t.Helper()
	old, err := r.caBundles(t.Context())
	require.NoError(t, err)
	for name := range old {
		require.NoError(t, r.setCABundle(t.Context(), name, bundle, old[name]))
	}
}

// setCABundle changes a configuration, if its caBundle is what it was.
func (r *release) setCABundle(ctx context.Context, name string, bundle []byte, old string) error {
	const path = "/webhooks/0/clientConfig/caBundle"
	encode := base64.StdEncoding.EncodeToString
	patch := fmt.Sprintf(`{"op":"add","path":%q,"value":%q}`, path, encode(bundle))
	if old != "" {
		patch = fmt.Sprintf(`{"op":"test","path":%q,"value":%q},`, path, encode([]byte(old))) + patch
	}
	var err error
	api := r.Admin.AdmissionregistrationV1()
	if name == r.fits() {
		_, err = api.MutatingWebhookConfigurations().Patch(ctx, name, types.JSONPatchType, []byte("["+patch+"]"), metav1.PatchOptions{})
	} else {
		_, err = api.ValidatingWebhookConfigurations().Patch(ctx, name, types.JSONPatchType, []byte("["+patch+"]"), metav1.PatchOptions{})
	}
	return err
}

// launch is one dry run through the API server.
func (r *release) launch(t *testing.T) error {
	t.Helper()
	_, err := launcher.Launch(t.Context(), r.Hub, world.Alice, r.hub, launcher.Options{DryRun: true})
	return err
}

// launches waits until launches get through: the API server hears of a changed configuration a moment later than a replica may.
func (r *release) launches(t *testing.T) {
	t.Helper()
	require.NoError(t, world.Eventually(t.Context(), func() error { return r.launch(t) }))
}

// noLeases are the Leases of no replicas.
func (r *release) noLeases() toolscache.ListerWatcher {
	return toolscache.NewListWatchFromClient(r.Admin.CoordinationV1().RESTClient(), "leases", r.hub, fields.Everything())
}

// caBundles are those of the three configurations.
func (r *release) caBundles(ctx context.Context) (map[string]string, error) {
	api := r.Admin.AdmissionregistrationV1()
	fits, err := api.MutatingWebhookConfigurations().Get(ctx, r.fits(), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	bundles := map[string]string{r.fits(): string(fits.Webhooks[0].ClientConfig.CABundle)}
	for _, name := range []string{r.verifies(), r.judges()} {
		c, err := api.ValidatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		bundles[name] = string(c.Webhooks[0].ClientConfig.CABundle)
	}
	return bundles, nil
}

// awaitAuthorities waits until the bundle has this many, whatever the caBundles have.
func (r *release) awaitAuthorities(t *testing.T, authorities int) {
	t.Helper()
	require.NoError(t, world.Eventually(t.Context(), func() error {
		if n := bytes.Count(r.secret(t, certs.AuthoritiesSecret).Data[certs.CAFile], []byte("BEGIN CERTIFICATE")); n != authorities {
			return fmt.Errorf("there are %d authorities, not %d", n, authorities)
		}
		return nil
	}))
}

// awaitBundles waits until the bundle and the caBundles have this many authorities, the same everywhere.
func (r *release) awaitBundles(t *testing.T, authorities int) {
	t.Helper()
	require.NoError(t, world.Eventually(t.Context(), func() error {
		bundles, err := r.caBundles(t.Context())
		if err != nil {
			return err
		}
		bundles["bundle"] = string(r.secret(t, certs.AuthoritiesSecret).Data[certs.CAFile])
		for name, bundle := range bundles {
			if n := strings.Count(bundle, "BEGIN CERTIFICATE"); n != authorities {
				return fmt.Errorf("%s has %d authorities, not %d", name, n, authorities)
			}
		}
		for name, bundle := range bundles {
			if bundle != bundles["bundle"] {
				return fmt.Errorf("%s differs from the bundle:\n%s\n%s", name, bundle, bundles["bundle"])
			}
		}
		return nil
	}))
}

// serves waits until each of the replicas serves with the certificate that is in a Secret.
func (r *release) serves(t *testing.T, secret string, replicas ...*replica) {
	t.Helper()
	for _, one := range replicas {
		require.NoError(t, world.Eventually(t.Context(), func() error {
			block, _ := pem.Decode(r.secret(t, secret).Data[certs.CertFile])
			if block == nil {
				return fmt.Errorf("no certificate in %s", secret)
			}
			got, err := one.certificate()
			if err == nil && !bytes.Equal(got.Raw, block.Bytes) {
				err = fmt.Errorf("%s serves with another certificate", one.name)
			}
			return err
		}))
	}
}

// pairFor makes a pair for the tests' host, in base64 as a patch has it.
func pairFor(t *testing.T, made time.Time, valid time.Duration) *certs.Pair {
	t.Helper()
	pair, err := certs.SelfSigned([]string{"127.0.0.1"}, made, valid)
	require.NoError(t, err)
	return pair
}

// otherKey is a key that no certificate here is for.
func otherKey(t *testing.T) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(pairFor(t, time.Now(), time.Hour).Key)
}
