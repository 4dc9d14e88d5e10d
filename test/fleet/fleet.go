// Package fleet runs the product as what it is in a cluster: programs. Tests start, measure and kill them. The cluster has nodes
// on which pods only say that they run, so there can be thousands of servers.
package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/world"
)

const (
	// Hub is whose servers the launchers start.
	Hub = "main"
	// Namespace is where they do.
	Namespace = "servers"
)

// Options of a fleet.
type Options struct {
	// Cluster to start; FakeNodes should be one or more.
	Cluster kube.Options
	// Webhooks and Launchers are how many of each run.
	Webhooks, Launchers int
	// Policy is a ClusterSpawnPolicy for the hub's servers, as YAML without apiVersion and kind.
	Policy string
}

// Fleet is a cluster with the product's programs.
type Fleet struct {
	*world.Installation
	// Dir is for logs, sockets and what else goes away with the test.
	Dir                 string
	Webhooks, Launchers []*Unit
	// Socket is where a launcher answers, one after the other in turn.
	Socket string
	// Launch is a client of the launchers' account.
	Launch   kubernetes.Interface
	programs string
}

// New starts everything, and ends it with the test. A test that failed shows the end of each program's log.
func New(t *testing.T, o Options) *Fleet {
	t.Helper()
	ctx := t.Context()
	f := &Fleet{Dir: shortDir(t)}
	f.build(t)
	cluster, err := kube.Start(ctx, o.Cluster)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	f.Installation, err = world.Install(ctx, cluster)
	require.NoError(t, err)
	f.Launch = kubernetes.NewForConfigOrDie(f.Launcher)
	require.NoError(t, cluster.CreateNamespace(ctx, Namespace, nil))
	f.startWebhooks(t, o.Webhooks)
	f.putPolicy(t, o.Policy)
	f.startLaunchers(t, o.Launchers)
	return f
}

// shortDir is a temporary folder whose path leaves room for the name of a socket, which may have 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-fleet-") //nolint:usetesting // t.TempDir() has the test's name in its path
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs are kept in %s", dir)
			return
		}
		require.NoError(t, os.RemoveAll(dir))
	})
	return dir
}

// build compiles the programs as make build does.
func (f *Fleet) build(t *testing.T) {
	t.Helper()
	f.programs = filepath.Join(f.Dir, "bin")
	require.NoError(t, os.Mkdir(f.programs, 0o755))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", f.programs+"/", "./cmd/slipway-webhook", "./cmd/slipway-launcher")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func (f *Fleet) startWebhooks(t *testing.T, n int) {
	t.Helper()
	pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), 24*time.Hour)
	require.NoError(t, err)
	dir := filepath.Join(f.Dir, "certs")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, pair.Write(dir))
	kubeconfig := f.kubeconfig(t, "webhook", f.Webhook)
	var addresses []address
	for i := range n {
		ports, err := world.FreePorts(3)
		require.NoError(t, err)
		name := fmt.Sprintf("webhook-%d", i)
		f.Webhooks = append(f.Webhooks, f.start(t, &Unit{
			Name: name, Ready: ready(ports[1]), log: filepath.Join(f.Dir, name+".log"),
			args: []string{
				filepath.Join(f.programs, "slipway-webhook"), "--cert-dir", dir, "--bind-address", "127.0.0.1", "--port", fmt.Sprint(ports[0]),
				"--health-probe-bind-address", loopback(ports[1]), "--metrics-bind-address", loopback(ports[2]), "--drain-delay", "0s",
			},
			env: []string{"KUBECONFIG=" + kubeconfig, "POD_NAMESPACE=" + world.OwnNamespace, "POD_NAME=" + name},
		}))
		addresses = append(addresses, address{"tcp", loopback(ports[0])})
	}
	front, err := openFront(t, address{"tcp", loopback(0)}, addresses)
	require.NoError(t, err)
	require.NoError(t, f.Register(t.Context(), front.port(), pair.CA))
}

func (f *Fleet) startLaunchers(t *testing.T, n int) {
	t.Helper()
	kubeconfig := f.kubeconfig(t, "launcher", f.Launcher)
	var addresses []address
	for i := range n {
		ports, err := world.FreePorts(2)
		require.NoError(t, err)
		name := fmt.Sprintf("launcher-%d", i)
		socket := filepath.Join(f.Dir, name+".sock")
		f.Launchers = append(f.Launchers, f.start(t, &Unit{
			Name: name, Ready: ready(ports[0]), Metrics: "http://" + loopback(ports[1]) + "/metrics", Socket: socket, log: filepath.Join(f.Dir, name+".log"),
			args: []string{
				filepath.Join(f.programs, "slipway-launcher"), "--socket", socket, "--hub", Hub, "--namespace", Namespace,
				"--health-probe-bind-address", loopback(ports[0]), "--metrics-bind-address", loopback(ports[1]), "--drain-delay", "0s",
			},
			env: []string{"KUBECONFIG=" + kubeconfig},
		}))
		addresses = append(addresses, address{"unix", socket})
	}
	f.Socket = filepath.Join(f.Dir, "launchers.sock")
	_, err := openFront(t, address{"unix", f.Socket}, addresses)
	require.NoError(t, err)
}

func (f *Fleet) start(t *testing.T, u *Unit) *Unit {
	t.Helper()
	f.Begin(t, u)
	return u
}

// Begin starts a program, waits until it is ready, and ends it with the test.
func (f *Fleet) Begin(t *testing.T, u *Unit) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of what %s said:\n%s", u.Name, u.LogTail())
		}
		require.NoError(t, u.Kill())
	})
	require.NoError(t, u.Start())
	require.NoError(t, u.AwaitReady(t.Context()))
}

// putPolicy makes the policy, and waits until every webhook fits pods by it.
func (f *Fleet) putPolicy(t *testing.T, spec string) {
	t.Helper()
	object := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(spec), &object.Object))
	object.SetAPIVersion("slipway.dev/v1alpha1")
	object.SetKind("ClusterSpawnPolicy")
	object.SetName("fleet")
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := f.Policies("ClusterSpawnPolicy", "").Create(t.Context(), object, metav1.CreateOptions{})
		return err
	}))
	// The API server keeps a connection, so that pods, however many, would ask one of the webhooks alone. They report themselves.
	require.NoError(t, world.Eventually(t.Context(), func() error { return f.enforced(t.Context(), object.GetName()) }))
	pod := launcher.Skeleton(policy.Identity{Name: "jupyter-probe", Hub: Hub, User: "probe"}, Namespace)
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := f.Launch.CoreV1().Pods(Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}))
}

// enforced fails until no webhook answers by an older generation of a policy.
func (f *Fleet) enforced(ctx context.Context, name string) error {
	object, err := f.Policies("ClusterSpawnPolicy", "").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var p v1alpha1.ClusterSpawnPolicy
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("read ClusterSpawnPolicy %s: %w", name, err)
	}
	c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionEnforced)
	if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != p.Generation {
		return fmt.Errorf("ClusterSpawnPolicy %s, generation %d, isn't enforced: %+v", name, p.Generation, c)
	}
	return nil
}

func ready(port int) string { return "http://" + loopback(port) + "/readyz" }

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// await asks until ctx ends, often enough that a start can be measured.
func await(ctx context.Context, ask func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %s)", ctx.Err(), strings.TrimSpace(err.Error()))
		case <-tick.C:
		}
	}
}
