// Package world is where tests of the webhook live: a real API server with the chart's admission policies, the real webhook
// in two replicas, and launchers that have nothing but a service account's token.
package world

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/webhook"
)

// The accounts of the tests.
const (
	HubNamespace = "jupyter"
	HubAccount   = "hub"    // listed as launcher by the tests' policies
	OtherAccount = "forger" // may create pods too, but no policy lists it
	OwnNamespace = "slipway-system"

	webhookAccount = "slipway-webhook"
)

// Soon bounds every wait; nothing here takes more than a second.
const Soon = 30 * time.Second

// World is what all tests of a process share. It is made once and ends with the process.
type World struct {
	Cluster *kube.Cluster
	Admin   kubernetes.Interface
	Dynamic dynamic.Interface
	// Hub is the client of the launcher's account, and HubRest its configuration.
	Hub     kubernetes.Interface
	HubRest *rest.Config
	// Warnings are those that the hub got.
	Warnings *Warnings
	// Forger may create pods too, but no policy lists it.
	Forger   kubernetes.Interface
	Gate     *Gate
	Replicas []*Replica
	// FirstReview is the AdmissionReview of Alice's bare skeleton in the namespace default.
	FirstReview   []byte
	webhookConfig *rest.Config
	// WithoutWebhook is what the API server said to a skeleton before there was a webhook.
	WithoutWebhook error
}

// Replica is one running webhook.
type Replica struct {
	Port, Health, Metrics int
	Client                *http.Client
	Stop                  context.CancelFunc
	Ended                 chan error
}

// URL is the address of a path of its admission server.
func (r *Replica) URL(path string) string { return fmt.Sprintf("https://127.0.0.1:%d%s", r.Port, path) }

var shared = sync.OnceValues(func() (*World, error) {
	return makeWorld(context.Background())
})

// ForTest gives the world; the first call makes it. Where that can't be done, the test fails.
func ForTest(t testing.TB) *World {
	t.Helper()
	c := kube.ForTest(t)
	theCluster = c
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// theCluster is set before the world is made; kube.ForTest wants a test.
var theCluster *kube.Cluster

func makeWorld(ctx context.Context) (*World, error) {
	w := &World{Cluster: theCluster}
	w.Admin = kubernetes.NewForConfigOrDie(w.Cluster.Config())
	quiet := rest.CopyConfig(w.Cluster.Config())
	quiet.WarningHandlerWithContext = rest.NoWarnings{} // the tests' policies are doubtful often enough
	w.Dynamic = dynamic.NewForConfigOrDie(quiet)
	for _, step := range []func(context.Context) error{
		w.installCRDs, w.makeAccounts, w.trySkeletonWithoutWebhook, w.startReplicas, w.register, w.installChart,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// installCRDs does what a user does: client-side kubectl apply.
func (w *World) installCRDs(ctx context.Context) error {
	if _, err := w.Cluster.Kubectl(ctx, nil, "apply", "-f", CRDFolder); err != nil {
		return err
	}
	return w.Cluster.AwaitCRDs(ctx, CRDFolder)
}

// CRDFolder is where the CRDs are, from a test's folder.
const CRDFolder = chartFolder + "/files/crds"

func (w *World) makeAccounts(ctx context.Context) error {
	for _, ns := range []string{HubNamespace, OwnNamespace, markerNamespace} {
		if err := w.Cluster.CreateNamespace(ctx, ns, map[string]string{"test": ns}); err != nil {
			return err
		}
	}
	launcherRights := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "get", "list", "watch", "patch", "update", "delete"}}}
	var err error
	if w.HubRest, err = w.Account(ctx, HubNamespace, HubAccount, launcherRights); err != nil {
		return err
	}
	w.Warnings = &Warnings{}
	w.HubRest.WarningHandler = w.Warnings
	w.Hub = kubernetes.NewForConfigOrDie(w.HubRest)
	forger, err := w.Account(ctx, HubNamespace, OtherAccount, launcherRights)
	if err != nil {
		return err
	}
	w.Forger = kubernetes.NewForConfigOrDie(forger)
	return nil
}

// HubConfig is what the hub's client is made of; the caller may change it.
func (w *World) HubConfig() *rest.Config { return rest.CopyConfig(w.HubRest) }

func (w *World) trySkeletonWithoutWebhook(ctx context.Context) error {
	_, w.WithoutWebhook = w.Hub.CoreV1().Pods("default").Create(ctx, launcher.Skeleton(Alice, "default"), metav1.CreateOptions{})
	return nil
}

func (w *World) startReplicas(ctx context.Context) error {
	rights, err := webhookRights()
	if err != nil {
		return err
	}
	config, err := w.WebhookAccount(ctx, OwnNamespace, webhookAccount, rights)
	if err != nil {
		return err
	}
	w.webhookConfig = config
	for range 2 {
		r, err := StartReplica(ctx, config)
		if err != nil {
			return err
		}
		if err := r.Await(ctx, http.StatusOK); err != nil {
			return err
		}
		w.Replicas = append(w.Replicas, r)
	}
	return nil
}

// StartReplica starts a webhook in this process, after changes of its options if there are any.
func StartReplica(ctx context.Context, config *rest.Config, changes ...func(*webhook.Options)) (*Replica, error) {
	dir, err := os.MkdirTemp("", "slipway-cert-")
	if err != nil {
		return nil, err
	}
	pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	if err := pair.Write(dir); err != nil {
		return nil, err
	}
	ports, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Replica{Port: ports[0], Health: ports[1], Metrics: ports[2], Client: Trusting(pair.CA), Stop: cancel, Ended: make(chan error, 1)}
	options := webhook.Options{
		Config: config, BindAddress: "127.0.0.1", Port: r.Port, CertDir: dir,
		HealthProbeBindAddress: fmt.Sprintf("127.0.0.1:%d", r.Health),
		MetricsBindAddress:     fmt.Sprintf("127.0.0.1:%d", r.Metrics),
		OwnNamespaces:          []string{OwnNamespace},
		Namespace:              OwnNamespace,
		DrainDelay:             time.Second, DrainTimeout: 5 * time.Second,
	}
	for _, change := range changes {
		change(&options)
	}
	go func() {
		defer os.RemoveAll(dir)
		r.Ended <- webhook.Run(ctx, options)
	}()
	return r, nil
}

// Await waits until readiness answers like this.
func (r *Replica) Await(ctx context.Context, status int) error {
	return Eventually(ctx, func() error {
		got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz?verbose", r.Health))
		if err != nil {
			return err
		}
		defer got.Body.Close()
		if got.StatusCode != status {
			return fmt.Errorf("readyz answers %s", got.Status)
		}
		return nil
	})
}

// register puts a gate before the replicas and tells the API server about it.
func (w *World) register(ctx context.Context) error {
	var err error
	if w.Gate, err = openGate(w.Replicas); err != nil {
		return err
	}
	at := webhook.AtAddress("127.0.0.1", w.Gate.Port, w.Gate.CA)
	launchers := []string{"system:serviceaccount:" + HubNamespace + ":" + HubAccount}
	api := w.Admin.AdmissionregistrationV1()
	_, mutateErr := api.MutatingWebhookConfigurations().Create(ctx, webhook.Configuration(at), metav1.CreateOptions{})
	_, verifyErr := api.ValidatingWebhookConfigurations().Create(ctx, webhook.VerifyConfiguration(at, launchers), metav1.CreateOptions{})
	_, policyErr := api.ValidatingWebhookConfigurations().Create(ctx, webhook.PolicyConfiguration(at), metav1.CreateOptions{})
	if err := errors.Join(mutateErr, verifyErr, policyErr, w.awaitJudge(ctx)); err != nil {
		return err
	}
	err = Eventually(ctx, func() error {
		_, err := w.Hub.CoreV1().Pods("default").Create(ctx, launcher.Skeleton(Alice, "default"), metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "Slipway ") {
			return fmt.Errorf("the webhook isn't asked yet: %w", err)
		}
		return nil
	})
	w.FirstReview = w.Gate.LastRequest()
	return err
}

// awaitJudge waits until the API server has policies judged.
func (w *World) awaitJudge(ctx context.Context) error {
	broken := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"defaults": map[string]any{"unset": []any{"nothing"}}}}}
	broken.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("SpawnPolicy"))
	broken.SetName("broken")
	return Eventually(ctx, func() error {
		_, err := w.Policies("SpawnPolicy", "default").Create(ctx, broken, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "Slipway PolicyInvalid") {
			return fmt.Errorf("policies aren't judged yet: %w", err)
		}
		return nil
	})
}

// Trusting is a client that trusts an authority, in PEM.
func Trusting(ca []byte) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Timeout: Soon, Transport: &http.Transport{TLSClientConfig: tlsConfig(roots)}}
}

// FreePorts finds n ports of the loopback address that nobody listens on.
func FreePorts(n int) ([]int, error) {
	if n == 0 {
		return nil, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close() // all are held until all are found
	rest, err := FreePorts(n - 1)
	return append(rest, l.Addr().(*net.TCPAddr).Port), err
}

// Eventually tries until it works, and gives the last error where it never does.
func Eventually(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, Soon)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still after %s: %w", Soon, err)
		case <-tick.C:
		}
	}
}

// Alice is the identity that the tests launch.
var Alice = policy.Identity{Name: "jupyter-alice", Hub: "main", User: "alice"}

// Namespace makes a namespace of its own for a test, labelled test: NAME, and waits until the replicas know it.
func (w *World) Namespace(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ",", "", "'", "").Replace(t.Name()))
	const limit = 50
	name = fmt.Sprintf("%s-%d", strings.Trim(name[:min(len(name), limit)], "-"), numbers.Add(1))
	require.NoError(t, w.Cluster.CreateNamespace(t.Context(), name, map[string]string{"test": name}))
	w.SettleNamespace(t, name)
	return name
}

// numbers make names unique in this process.
var numbers atomic.Int32

// Launch creates alice's skeleton as the hub, after the change if there is one.
func (w *World) Launch(t *testing.T, namespace string, change func(*corev1.Pod)) (*corev1.Pod, error) {
	t.Helper()
	pod := launcher.Skeleton(Alice, namespace)
	if change != nil {
		change(pod)
	}
	return w.Hub.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
}

// Remove deletes a pod at once, so that its name is free again.
func (w *World) Remove(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	require.NoError(t, w.Admin.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
}

// Codec writes pods as JSON.
var Codec = scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion)

// Warnings collects what the API server warns a client of.
type Warnings struct {
	mu   sync.Mutex
	text strings.Builder
}

// HandleWarningHeader takes one in.
func (w *Warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.WriteString(text + "\n")
}

// String has one a line.
func (w *Warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// Reset forgets them.
func (w *Warnings) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Reset()
}

// cleanup is a context for what is undone when a test is over.
func cleanup(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}

// WebhookConfig is what a client with the webhook's own account is made of.
func (w *World) WebhookConfig(t *testing.T) *rest.Config {
	t.Helper()
	return rest.CopyConfig(w.webhookConfig)
}

// Reinstall puts the mutating configuration back as it was, and waits until the API server asks the webhook again.
func (w *World) Reinstall(t *testing.T, c *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	ctx := cleanup(t)
	api := w.Admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_ = api.Delete(ctx, c.Name, metav1.DeleteOptions{})
	fresh := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: c.Name}, Webhooks: c.Webhooks}
	_, err := api.Create(ctx, fresh, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, Eventually(ctx, func() error {
		_, err := w.Hub.CoreV1().Pods("default").Create(ctx, launcher.Skeleton(Alice, "default"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "Slipway NoPolicy") {
			return fmt.Errorf("the webhook isn't asked yet: %w", err)
		}
		return nil
	}))
}

// policyConfiguration is the configuration of the webhook that judges policies when they are written.
const policyConfiguration = "slipway-policy"

// WithoutPolicyWebhook has policies written unjudged until the test is over, as in a cluster where that webhook isn't
// installed.
func (w *World) WithoutPolicyWebhook(t *testing.T) {
	t.Helper()
	api := w.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c, err := api.Get(t.Context(), policyConfiguration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return
	}
	require.NoError(t, err)
	require.NoError(t, api.Delete(t.Context(), c.Name, metav1.DeleteOptions{}))
	tryBroken := func() error {
		_, err := w.Policies("SpawnPolicy", markerNamespace).Create(cleanup(t), decodePolicy(t, markerNamespace, brokenPolicy), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	require.NoError(t, Eventually(t.Context(), tryBroken))
	t.Cleanup(func() {
		fresh := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: c.Name}, Webhooks: c.Webhooks}
		_, err := api.Create(cleanup(t), fresh, metav1.CreateOptions{})
		require.NoError(t, err)
		require.NoError(t, Eventually(cleanup(t), func() error {
			if err := tryBroken(); err == nil {
				return errors.New("policies aren't judged yet")
			}
			return nil
		}))
	})
}

// brokenPolicy gets past the schema and nothing else.
const brokenPolicy = `
kind: SpawnPolicy
metadata: {name: broken}
spec: {defaults: {workingDir: "{usernam}"}}
`
