package main

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/webhook"
)

// patience is how long something on the API server may take at most.
const patience = 30 * time.Second

// hubRights let the hub's account start servers; listing policies is what launch needs to find hub and name by itself.
const hubRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: launcher}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [create, get, list, watch, delete]}
  - {apiGroups: [""], resources: [secrets], verbs: [create]}
  - {apiGroups: [""], resources: [events], verbs: [list, watch]}
  - {apiGroups: [""], resources: [namespaces, nodes, persistentvolumeclaims], verbs: [get, list]}
  - {apiGroups: [slipway.dev], resources: [spawnpolicies, clusterspawnpolicies], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: launcher}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: launcher}
subjects: [{kind: ServiceAccount, namespace: jupyter, name: hub}]
`

func TestCommandsOnACluster(t *testing.T) {
	c := prepared(t)
	t.Run("policies and namespace labels come from the cluster", func(t *testing.T) {
		t.Setenv("KUBECONFIG", c.Kubeconfig())
		got := slipway(t, "", "render", "-n", "data101", "--user", "alice")
		require.Equal(t, exitGood, got.code, got.err)
		files := slipway(t, "", "render", "-f", examples, "-n", "data101", "--namespace-label", "tier=teaching", "--user", "alice")
		assert.Equal(t, files.out, strings.ReplaceAll(got.out, `,"generation":1`, ""))
	})
	t.Run("a running pod is explained by the policies of now", func(t *testing.T) { explainRunning(t, c) })
	t.Run("a policy that can't be read is the affair of its namespace", func(t *testing.T) { unreadablePolicies(t, c) })
	t.Run("a user's own namespace, before and after it is there", func(t *testing.T) { ownNamespace(t, c) })
	t.Run("a namespace that isn't there", func(t *testing.T) {
		t.Setenv("KUBECONFIG", c.Kubeconfig())
		got := slipway(t, "", "render", "-n", "nowhere", "--hub", "campus", "--user", "alice")
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.err, `get namespace nowhere: `)
	})

	t.Setenv("KUBECONFIG", kubeconfigOf(t, c, "jupyter", "hub"))
	launch := strings.Fields("launch jupyter-alice -n data101 --hub campus --user alice")
	t.Run("without the webhook the API server refuses a skeleton", func(t *testing.T) {
		got := slipway(t, "", launch...)
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.err, "image: Required value")
		assert.Empty(t, got.out)
	})
	runWebhook(t, c)
	t.Run("a denial is told with its reason", func(t *testing.T) { deniedLaunch(t, launch) })
	t.Run("a dry run stores nothing", func(t *testing.T) {
		got := slipway(t, "", append(launch, "--dry-run")...)
		assert.Equal(t, exitGood, got.code, got.err)
		_, err := c.Kubectl(t.Context(), nil, "get", "pod", "-n", "data101", "jupyter-alice")
		assert.ErrorContains(t, err, "NotFound")
	})
	t.Run("hub and pod name come from the policies", func(t *testing.T) {
		got := slipway(t, "", "launch", "-n", "data101", "--user", "Alice")
		assert.Equal(t, exitGood, got.code, got.err)
		assert.Equal(t, "pod/jupyter-alice---3bc51062\n", got.out)
	})
	t.Run("a shell is offered what the cluster has", func(t *testing.T) { offeredByCluster(t, c) })
	t.Run("a server's life from the terminal", func(t *testing.T) { lifeOfAServer(t, c) })
	t.Run("launch waits until the pod is admitted where there is no node", func(t *testing.T) { admittedWithoutANode(t, c, launch) })
	t.Run("no server waits forever", func(t *testing.T) {
		got := slipway(t, "", "launch", "jupyter-bob", "-n", "data101", "--hub", "campus", "--user", "bob", "--until", "running", "--timeout", "200ms")
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.err, "deadline")
	})
}

func deniedLaunch(t *testing.T, launch []string) {
	t.Helper()
	got := slipway(t, "", append(launch, "--group", "staff")...)
	assert.Equal(t, exitDenied, got.code)
	assert.Contains(t, got.err, "Slipway LauncherNotAllowed: spec.launchers: ")
	assert.Empty(t, got.out)
}

// admittedWithoutANode compares the servers that run then, too.
func admittedWithoutANode(t *testing.T, c *kube.Cluster, launch []string) {
	t.Helper()
	got := slipway(t, "", launch...)
	assert.Equal(t, exitGood, got.code, got.err)
	assert.Equal(t, "pod/jupyter-alice\n", got.out)
	assert.Contains(t, got.err, "Admitted by policy")
	image, err := c.Kubectl(t.Context(), nil, "get", "pod", "-n", "data101", "jupyter-alice", "-o", "jsonpath={.spec.containers[*].name}")
	require.NoError(t, err)
	assert.Equal(t, "notebook mongo postgres", image)
	diffRunning(t, c)
}

// offeredByCluster is after hub and pod name came from the policies, when there is one server.
func offeredByCluster(t *testing.T, c *kube.Cluster) {
	t.Helper()
	require.NoError(t, c.CreateNamespace(t.Context(), "research", nil))
	_, err := c.Kubectl(t.Context(), nil, "apply", "-f", examples+"/hooks/gpu-by-group.yaml")
	require.NoError(t, err)
	for line, want := range map[string][]string{
		"explain -n data101 ":                                 {"jupyter-alice---3bc51062"},
		"explain -n data101 jupyter-alice---3bc51062 ":        nil,
		"explain -n jupyter ":                                 nil,
		"stop -n data101 --user ":                             {"Alice"},
		"stop -n data101 --hub other --user ":                 nil,
		"launch -n research --user bob --profile ":            {"cpu\tNo GPU", "gpu\tOne GPU"}, // it may be for another hub
		"launch -n research --hub main --user bob --profile ": {"cpu\tNo GPU"},
		"launch -n research --hub main --user bob --group gpu-users --profile gpu --option product=": {"product=t4\tTesla T4"},
		"events -n data101 --hub ":                        {"campus"},
		"render -n data101 --launcher jup":                {"jupyter/hub"},
		"render -n data":                                  {"data101"},
		"render -n data101 --user alice --profile ":       nil, // there is no choice to make
		"list -n data101 --hub ":                          {"campus"},
		"events -n data101 --user Alice --hub campus -n ": nil,
	} {
		if strings.HasSuffix(line, "-n ") {
			assert.Contains(t, completed(t, line), "data101", line)
			continue
		}
		assert.Equal(t, want, completedOrNil(t, line), line)
	}
}

// lifeOfAServer is after hub and pod name came from the policies; the garbage collector doesn't run here.
func lifeOfAServer(t *testing.T, c *kube.Cluster) {
	t.Helper()
	carol := strings.Fields("-n data101 --hub campus --user carol")
	got := slipway(t, "", append([]string{"launch", "--until", "admitted", "--env", "JUPYTERHUB_API_TOKEN=sesame"}, carol...)...)
	require.Equal(t, exitGood, got.code, got.err)
	assert.Equal(t, "pod/jupyter-carol\n", got.out)
	assert.Contains(t, got.err, "What policy gave the pod")
	assert.Contains(t, got.err, "+ container notebook: ")
	assert.NotContains(t, got.err, "sesame")
	secret := strings.Fields("get secret -n data101 -o jsonpath={.items[?(@.metadata.ownerReferences[0].name==\"jupyter-carol\")].data.JUPYTERHUB_API_TOKEN}")
	token, err := c.Kubectl(t.Context(), nil, secret...)
	require.NoError(t, err)
	assert.Equal(t, "c2VzYW1l", token)

	got = slipway(t, "", "list", "-n", "data101")
	require.Equal(t, exitGood, got.code, got.err)
	assert.Regexp(t, `data101 +campus +carol +Pending +\S+ +jupyter-carol +Waiting for a node`, got.out)
	got = slipway(t, "", "list", "-n", "data101", "-o", "json")
	assert.Contains(t, got.out, `"user": "carol"`)
	got = slipway(t, "", append([]string{"events"}, carol...)...)
	assert.Equal(t, exitGood, got.code, got.err)
	got = slipway(t, "", append([]string{"stop"}, carol...)...)
	assert.Equal(t, exitGood, got.code, got.err)
	assert.Equal(t, "Stopped\n", got.err)
	got = slipway(t, "", append([]string{"stop"}, carol...)...)
	assert.Equal(t, exitGood, got.code, got.err)
	assert.Equal(t, "It isn't running\n", got.err)
	got = slipway(t, "", append([]string{"events"}, carol...)...)
	assert.Equal(t, exitFailed, got.code)

	t.Setenv("KUBECONFIG", c.Kubeconfig())
	got = slipway(t, "", "list", "-n", "data101", "--orphans")
	assert.Equal(t, exitDenied, got.code, got.err)
	assert.Regexp(t, `data101 +Secret +jupyter-carol-env-[a-z0-9]{8} +its pod is gone`, got.out)
}

// tutorRights are for one namespace, but for the policies of the cluster, which concern it too.
const tutorRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tutor, namespace: data101}
rules:
  - {apiGroups: [""], resources: [namespaces], verbs: [get]}
  - {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [list]}
  - {apiGroups: [slipway.dev], resources: [spawnpolicies], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tutor, namespace: data101}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tutor}
subjects: [{kind: ServiceAccount, namespace: data101, name: tutor}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tutor}
rules: [{apiGroups: [slipway.dev], resources: [clusterspawnpolicies], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: tutor}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tutor}
subjects: [{kind: ServiceAccount, namespace: data101, name: tutor}]
`

// unreadablePolicies asks as somebody with rights in one namespace while policies can't be read: there, and elsewhere.
func unreadablePolicies(t *testing.T, c *kube.Cluster) {
	t.Helper()
	kubectl := func(stdin string, args ...string) {
		t.Helper()
		_, err := c.Kubectl(t.Context(), strings.NewReader(stdin), args...)
		require.NoError(t, err)
	}
	put := func(namespace, spec string) {
		t.Helper()
		kubectl("apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: broken}\nspec: "+spec, "apply", "-n", namespace, "-f", "-")
	}
	require.NoError(t, c.EnsureServiceAccount(t.Context(), "data101", "tutor"))
	kubectl(tutorRights, "apply", "-f", "-")
	t.Setenv("KUBECONFIG", kubeconfigOf(t, c, "data101", "tutor"))
	render := strings.Fields("render -n data101 --user alice")

	put("default", "{defaults: {memLimit: 1e1.5}}")
	require.Eventually(t, func() bool { // the API server reads roles from its cache
		return slipway(t, "", render...).code == exitGood
	}, patience, 100*time.Millisecond, slipway(t, "", render...).err)

	put("data101", "{enforcement: Audit, defaults: {memLimit: 1e1.5}}")
	audited := slipway(t, "", render...)
	assert.Equal(t, exitGood, audited.code, audited.err)
	assert.Contains(t, audited.err, "audit: would be denied: Slipway PolicyInvalid: SpawnPolicy data101/broken: spec: can't be read: ")

	put("data101", "{enforcement: Enforce, defaults: {memLimit: 1e1.5}}")
	denies := slipway(t, "", append([]string{"explain"}, render[1:]...)...)
	assert.Equal(t, exitDenied, denies.code, denies.err)
	assert.Contains(t, denies.out, "SpawnPolicy data101/broken")
	assert.Contains(t, denies.out, "can't be read: ")
	kubectl("", "delete", "-n", "data101", "spawnpolicies.slipway.dev", "broken")
}

// prepared gives a cluster with the example policies, and everything that they name.
func prepared(t *testing.T) *kube.Cluster {
	t.Helper()
	c := kube.ForTest(t)
	kubectl := func(stdin string, args ...string) {
		t.Helper()
		_, err := c.Kubectl(t.Context(), strings.NewReader(stdin), args...)
		require.NoError(t, err)
	}
	kubectl("", "apply", "-f", "../../charts/slipway/files/crds")
	require.NoError(t, c.AwaitCRDs(t.Context(), "../../charts/slipway/files/crds"))
	require.NoError(t, c.CreateNamespace(t.Context(), "jupyter", nil))
	require.NoError(t, c.EnsureServiceAccount(t.Context(), "jupyter", "hub"))
	require.NoError(t, c.CreateNamespace(t.Context(), "data101", map[string]string{"tier": "teaching"}))
	kubectl("", "apply", "-f", examples)
	kubectl(hubRights, "apply", "-f", "-")
	// The API server reads roles from its cache.
	require.Eventually(t, func() bool {
		_, err := c.Kubectl(t.Context(), nil, "auth", "can-i", "list", "spawnpolicies.slipway.dev", "-A", "--as=system:serviceaccount:jupyter:hub")
		return err == nil
	}, patience, 20*time.Millisecond)
	return c
}

// kubeconfigOf writes a kubeconfig with a token of a service account.
func kubeconfigOf(t *testing.T, c *kube.Cluster, namespace, account string) string {
	t.Helper()
	token, err := c.Kubectl(t.Context(), nil, "create", "token", "-n", namespace, account)
	require.NoError(t, err)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Config().Host, CertificateAuthorityData: c.Config().CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: strings.TrimSpace(token)}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}

// runWebhook runs the webhook until the test ends, and registers it when it is ready.
func runWebhook(t *testing.T, c *kube.Cluster) {
	t.Helper()
	folder := t.TempDir()
	pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
	require.NoError(t, err)
	require.NoError(t, pair.Write(folder))
	port, probes := freePort(t), freePort(t)
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(probes))

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- webhook.Run(ctx, webhook.Options{
			Config: c.Config(), Port: port, CertDir: folder, MetricsBindAddress: "0", HealthProbeBindAddress: at,
		})
	}()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + at + "/readyz")
		if err != nil {
			return false
		}
		return response.StatusCode == http.StatusOK && response.Body.Close() == nil
	}, patience, 20*time.Millisecond)

	clients, err := kubernetes.NewForConfig(c.Config())
	require.NoError(t, err)
	_, err = clients.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(
		t.Context(), webhook.Configuration(webhook.AtAddress("127.0.0.1", port, pair.CA)), metav1.CreateOptions{})
	require.NoError(t, err)
	// The API server reads webhook configurations from its cache.
	stranger := launcher.Skeleton(policy.Identity{Name: "stranger", Hub: "nobody's", User: "stranger"}, "data101")
	require.Eventually(t, func() bool {
		_, err := clients.CoreV1().Pods("data101").Create(t.Context(), stranger, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "Slipway ")
	}, patience, 20*time.Millisecond)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// ownNamespace: policy says where the server belongs. Once that namespace is there, its labels and SpawnPolicies count.
func ownNamespace(t *testing.T, c *kube.Cluster) {
	t.Helper()
	t.Setenv("KUBECONFIG", c.Kubeconfig())
	_, err := c.Kubectl(t.Context(), nil, "apply", "-f", "testdata/own.yaml")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := c.Kubectl(context.WithoutCancel(t.Context()), nil, "delete", "-f", "testdata/own.yaml")
		assert.NoError(t, err)
	})
	render := []string{"render", "--hub", "main", "--user", "zoe"}
	before := slipway(t, "", render...)
	require.Equal(t, exitGood, before.code, before.err)
	assert.Contains(t, before.out, "kind: Namespace")
	assert.Contains(t, before.out, "namespace: jupyter-zoe")

	require.NoError(t, c.CreateNamespace(t.Context(), "jupyter-zoe", map[string]string{policy.LabelHub: "main"}))
	const course = `{"apiVersion":"slipway.dev/v1alpha1","kind":"SpawnPolicy","metadata":{"name":"zoe","namespace":"jupyter-zoe"},"spec":{"defaults":{"workingDir":"/zoe"}}}`
	_, err = c.Kubectl(t.Context(), strings.NewReader(course), "apply", "-f", "-")
	require.NoError(t, err)
	after := slipway(t, "", render...)
	require.Equal(t, exitGood, after.code, after.err)
	assert.Contains(t, after.out, "workingDir: /zoe")
}
