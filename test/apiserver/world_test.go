// Package apiserver tests the webhook where it counts: on a real API server, with the real webhook in two replicas and
// with launchers that have nothing but a service account's token.
package apiserver

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
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/cluster"
	"github.com/slipway-hub/slipway/webhook"
)

// The accounts of the tests.
const (
	hubNamespace = "jupyter"
	hubAccount   = "hub"    // listed as launcher by the tests' policies
	otherAccount = "forger" // may create pods too, but no policy lists it
	ownNamespace = "slipway-system"
)

// soon bounds every wait; nothing here takes more than a second.
const soon = 30 * time.Second

// world is what all tests share. It is made once per process and ends with it.
type world struct {
	cluster *cluster.Cluster
	admin   kubernetes.Interface
	dynamic dynamic.Interface
	hub     kubernetes.Interface
	hubRest *rest.Config
	// warnings are those that the hub got.
	warnings *warnings
	forger   kubernetes.Interface
	gate     *gate
	replicas []*replica
	// firstReview is the AdmissionReview of alice's bare skeleton in the namespace default.
	firstReview []byte
	// withoutWebhook is what the API server said to a skeleton before there was a webhook.
	withoutWebhook error
}

// replica is one running webhook.
type replica struct {
	port, health, metrics int
	client                *http.Client
	stop                  context.CancelFunc
	ended                 chan error
}

func (r *replica) url(path string) string { return fmt.Sprintf("https://127.0.0.1:%d%s", r.port, path) }

var shared = sync.OnceValues(func() (*world, error) {
	return makeWorld(context.Background())
})

func theWorld(t testing.TB) *world {
	t.Helper()
	c := cluster.ForTest(t)
	theCluster = c
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// theCluster is set before the world is made; cluster.ForTest wants a test.
var theCluster *cluster.Cluster

func makeWorld(ctx context.Context) (*world, error) {
	w := &world{cluster: theCluster}
	w.admin = kubernetes.NewForConfigOrDie(w.cluster.Config())
	w.dynamic = dynamic.NewForConfigOrDie(w.cluster.Config())
	for _, step := range []func(context.Context) error{
		w.installCRDs, w.makeAccounts, w.trySkeletonWithoutWebhook, w.startReplicas, w.register,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// installCRDs does what a user does: client-side kubectl apply.
func (w *world) installCRDs(ctx context.Context) error {
	if _, err := w.cluster.Kubectl(ctx, nil, "apply", "-f", crdFolder); err != nil {
		return err
	}
	_, err := w.cluster.Kubectl(ctx, nil, "wait", "--for=condition=Established", "--timeout=30s", "-f", crdFolder)
	return err
}

const crdFolder = "../../charts/slipway/crds"

func (w *world) makeAccounts(ctx context.Context) error {
	for _, ns := range []string{hubNamespace, ownNamespace, markerNamespace} {
		if err := w.cluster.CreateNamespace(ctx, ns, map[string]string{"test": ns}); err != nil {
			return err
		}
	}
	launcherRights := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "get", "list", "watch", "patch", "update", "delete"}}}
	var err error
	if w.hubRest, err = w.account(ctx, hubNamespace, hubAccount, launcherRights); err != nil {
		return err
	}
	w.warnings = &warnings{}
	w.hubRest.WarningHandler = w.warnings
	w.hub = kubernetes.NewForConfigOrDie(w.hubRest)
	forger, err := w.account(ctx, hubNamespace, otherAccount, launcherRights)
	if err != nil {
		return err
	}
	w.forger = kubernetes.NewForConfigOrDie(forger)
	return nil
}

// hubConfig is what the hub's client is made of; the caller may change it.
func (w *world) hubConfig() *rest.Config { return rest.CopyConfig(w.hubRest) }

// account makes a service account with rights in the whole cluster, and gives a configuration with its token.
func (w *world) account(ctx context.Context, namespace, name string, rights []rbacv1.PolicyRule) (*rest.Config, error) {
	if err := w.cluster.EnsureServiceAccount(ctx, namespace, name); err != nil {
		return nil, err
	}
	named := metav1.ObjectMeta{Name: "test-" + name}
	_, roleErr := w.admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: named, Rules: rights}, metav1.CreateOptions{})
	_, bindErr := w.admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: named,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: named.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	}, metav1.CreateOptions{})
	token, tokenErr := w.admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err := errors.Join(roleErr, bindErr, tokenErr); err != nil {
		return nil, fmt.Errorf("make account %s/%s: %w", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(w.cluster.Config())
	config.BearerToken = token.Status.Token
	config.QPS = -1
	return config, nil
}

func (w *world) trySkeletonWithoutWebhook(ctx context.Context) error {
	_, w.withoutWebhook = w.hub.CoreV1().Pods("default").Create(ctx, launcher.Skeleton(alice, "default"), metav1.CreateOptions{})
	return nil
}

// webhookRights are all that the webhook may do.
var webhookRights = []rbacv1.PolicyRule{
	{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"list", "watch"}},
	{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"spawnpolicies", "clusterspawnpolicies"}, Verbs: []string{"list", "watch"}},
}

func (w *world) startReplicas(ctx context.Context) error {
	config, err := w.account(ctx, ownNamespace, "slipway-webhook", webhookRights)
	if err != nil {
		return err
	}
	for range 2 {
		r, err := startReplica(ctx, config)
		if err != nil {
			return err
		}
		if err := r.await(ctx, http.StatusOK); err != nil {
			return err
		}
		w.replicas = append(w.replicas, r)
	}
	return nil
}

// startReplica starts a webhook in this process.
func startReplica(ctx context.Context, config *rest.Config) (*replica, error) {
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
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &replica{port: ports[0], health: ports[1], metrics: ports[2], client: trusting(pair.CA), stop: cancel, ended: make(chan error, 1)}
	go func() {
		defer os.RemoveAll(dir)
		r.ended <- webhook.Run(ctx, webhook.Options{
			Config: config, BindAddress: "127.0.0.1", Port: r.port, CertDir: dir,
			HealthProbeBindAddress: fmt.Sprintf("127.0.0.1:%d", r.health),
			MetricsBindAddress:     fmt.Sprintf("127.0.0.1:%d", r.metrics),
			OwnNamespaces:          []string{ownNamespace},
			DrainDelay:             time.Second, DrainTimeout: 5 * time.Second,
		})
	}()
	return r, nil
}

// await waits until readiness answers like this.
func (r *replica) await(ctx context.Context, status int) error {
	return eventually(ctx, func() error {
		got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz?verbose", r.health))
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
func (w *world) register(ctx context.Context) error {
	var err error
	if w.gate, err = openGate(w.replicas); err != nil {
		return err
	}
	configuration := webhook.Configuration(webhook.AtAddress("127.0.0.1", w.gate.port, w.gate.ca))
	if _, err := w.admin.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, configuration, metav1.CreateOptions{}); err != nil {
		return err
	}
	err = eventually(ctx, func() error {
		_, err := w.hub.CoreV1().Pods("default").Create(ctx, launcher.Skeleton(alice, "default"), metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "Slipway ") {
			return fmt.Errorf("the webhook isn't asked yet: %w", err)
		}
		return nil
	})
	w.firstReview = w.gate.lastRequest()
	return err
}

func trusting(ca []byte) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Timeout: soon, Transport: &http.Transport{TLSClientConfig: tlsConfig(roots)}}
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// eventually tries until it works, and gives the last error where it never does.
func eventually(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, soon)
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
			return fmt.Errorf("still after %s: %w", soon, err)
		case <-tick.C:
		}
	}
}

// alice is the identity that the tests launch.
var alice = policy.Identity{Name: "jupyter-alice", Hub: "main", User: "alice"}

// namespace makes a namespace of its own for a test, labelled test: NAME, and waits until the replicas know it.
func (w *world) namespace(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ",", "", "'", "").Replace(t.Name()))
	const limit = 50
	name = fmt.Sprintf("%s-%d", strings.Trim(name[:min(len(name), limit)], "-"), numbers.Add(1))
	require.NoError(t, w.cluster.CreateNamespace(t.Context(), name, map[string]string{"test": name}))
	w.settleNamespace(t, name)
	return name
}

// numbers make names unique in this process.
var numbers atomic.Int32

// launch creates alice's skeleton as the hub, after the change if there is one.
func (w *world) launch(t *testing.T, namespace string, change func(*corev1.Pod)) (*corev1.Pod, error) {
	t.Helper()
	pod := launcher.Skeleton(alice, namespace)
	if change != nil {
		change(pod)
	}
	return w.hub.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
}

// remove deletes a pod at once, so that its name is free again.
func (w *world) remove(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	require.NoError(t, w.admin.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
}

// codec writes pods as JSON.
var codec = scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion)

// warnings collects what the API server warns a client of.
type warnings struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.WriteString(text + "\n")
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *warnings) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Reset()
}
