//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

const (
	// jupyterImages is what test/images/build.py makes.
	jupyterImages = root + "/dist/jupyter.tar"
	// hubPassword is as good as any other.
	hubPassword = "open sesame"

	// The spawners of testdata/hub.
	kubeSpawner, slipwaySpawner = "kubespawner", "slipway"
)

// jupyterHub is a real one, in a namespace of its own, with a browser in front of it.
type jupyterHub struct {
	*stage
	*browser
	namespace string
}

var jupyterLoaded sync.Once

// newHub makes a namespace for a hub, with all that a hub needs. Everything goes away with the test.
func (s *stage) newHub(t *testing.T, namespace string) *jupyterHub {
	t.Helper()
	jupyterLoaded.Do(func() { require.NoError(t, s.LoadImage(t.Context(), jupyterImages)) })
	s.makeVolumes(t, namespace)
	require.NoError(t, s.CreateNamespace(t.Context(), namespace, nil))
	t.Cleanup(func() {
		_, err := s.Kubectl(context.WithoutCancel(t.Context()), nil, "delete", "namespace", namespace, "--timeout", soon.String())
		require.NoError(t, err)
	})
	h := &jupyterHub{stage: s, namespace: namespace}
	t.Cleanup(func() {
		if t.Failed() {
			h.tellAboutHub(t)
		}
	})
	require.NoError(t, s.EnsureServiceAccount(t.Context(), namespace, hubAccount))
	h.kubectl(t, "", "apply", "--namespace", namespace, "-f", "testdata/hub/hub.yaml")
	h.browser = browse(t, "http://"+h.forward(t))
	return h
}

// makeVolumes makes some that claims without a class find, since nobody makes one for a claim here.
func (s *stage) makeVolumes(t *testing.T, of string) {
	t.Helper()
	const volumes = 8
	folder := t.TempDir()
	for i := range volumes {
		path := filepath.Join(folder, fmt.Sprint(i))
		require.NoError(t, os.Mkdir(path, 0o755))
		// No kubelet hands such a folder to a pod's group.
		require.NoError(t, os.Chmod(path, 0o777))
		name := fmt.Sprintf("%s-%d", of, i)
		s.kubectl(t, fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: %s}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  hostPath: {path: %s, type: Directory}
`, name, path), "apply", "-f", "-")
		t.Cleanup(func() {
			_, err := s.Kubectl(context.WithoutCancel(t.Context()), nil, "delete", "persistentvolume", name, "--timeout", soon.String())
			require.NoError(t, err)
		})
	}
}

// runHub runs the hub with that spawner, which is configured in a folder of testdata/hub, in place of one that runs.
func (h *jupyterHub) runHub(t *testing.T, spawner string) {
	t.Helper()
	config := h.kubectl(t, "", "create", "configmap", "hub", "--dry-run=client", "-o", "yaml",
		"--from-file", "testdata/hub/jupyterhub_config.py", "--from-file", "testdata/hub/"+spawner+"/spawner.py")
	h.kubectl(t, config, "apply", "--namespace", h.namespace, "-f", "-")
	deployment := "testdata/hub/deployment.yaml"
	if spawner == slipwaySpawner {
		h.kubectl(t, h.kubectl(t, "", "patch", "--local", "-f", deployment, "-o", "yaml", "-p", sidecar(t)), "apply", "--namespace", h.namespace, "-f", "-")
	} else {
		h.kubectl(t, "", "apply", "--namespace", h.namespace, "-f", deployment, "-f", "testdata/hub/"+spawner+"/rights.yaml")
	}
	h.awaitHub(t)
}

// sidecar is what the chart's example has Zero to JupyterHub put into the hub's pod, as a patch of ours.
func sidecar(t *testing.T) string {
	t.Helper()
	file, err := os.ReadFile(chart + "/examples/z2jh-values.yaml")
	require.NoError(t, err)
	var example struct {
		Hub struct {
			ExtraPodSpec      map[string]any       `json:"extraPodSpec"`
			ExtraVolumes      []corev1.Volume      `json:"extraVolumes"`
			ExtraVolumeMounts []corev1.VolumeMount `json:"extraVolumeMounts"`
			ExtraContainers   []corev1.Container   `json:"extraContainers"`
		} `json:"hub"`
	}
	require.NoError(t, yaml.Unmarshal(file, &example))
	hub := example.Hub
	require.Len(t, hub.ExtraContainers, 1)
	hub.ExtraContainers[0].Image = "ghcr.io/slipway-hub/slipway-launcher:" + version
	pod := hub.ExtraPodSpec
	pod["volumes"] = hub.ExtraVolumes
	pod["containers"] = []any{map[string]any{"name": "hub", "volumeMounts": hub.ExtraVolumeMounts}, hub.ExtraContainers[0]}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": pod}}})
	require.NoError(t, err)
	return string(patch)
}

// installForHub installs the chart for the hub of a namespace, and takes it away with the test. The launcher is in the hub's pod.
func (s *stage) installForHub(t *testing.T, namespace string) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := s.program(ctx, "go", "tool", "-modfile="+root+"/tools/helm/go.mod", "helm", "uninstall", release,
			"--namespace", ownNamespace, "--wait", "--timeout", soon.String(), "--ignore-not-found")
		require.NoError(t, err)
		_, err = s.Kubectl(ctx, nil, "delete", "namespace", ownNamespace, "--ignore-not-found", "--timeout", soon.String())
		require.NoError(t, err)
	})
	s.helm(t, "install", release, chart, "--create-namespace", "--namespace", ownNamespace, "--wait", "--timeout", soon.String(),
		"--set", "webhook.image.tag="+version,
		"--set", "launcherAccounts[0].namespace="+namespace,
		"--set", "launcherAccounts[0].name="+hubAccount,
		"--set", "launcherAccounts[0].bind=true",
		"--set", "launcher.namespaces={"+namespace+"}",
		"--set", "crds.keep=false")
	file := "testdata/hub/slipway/" + namespace + ".yaml"
	s.kubectl(t, "", "apply", "-f", file)
	for _, condition := range []string{"Ready", "Enforced"} {
		s.kubectl(t, "", "wait", "--for=condition="+condition, "--timeout=60s", "-f", file)
	}
}

// awaitHub waits until hub and proxy are ready.
func (h *jupyterHub) awaitHub(t *testing.T) {
	t.Helper()
	for _, deployment := range []string{"proxy", "hub"} {
		h.kubectl(t, "", "rollout", "status", "deployment/"+deployment, "--namespace", h.namespace, "--timeout", soon.String())
	}
}

// forward gives the address of the proxy for the browser of this machine.
func (h *jupyterHub) forward(t *testing.T) string {
	t.Helper()
	service, err := h.admin.CoreV1().Services(h.namespace).Get(t.Context(), "proxy-public", metav1.GetOptions{})
	require.NoError(t, err)
	address, err := h.Forward(t.Context(), 0, net.JoinHostPort(service.Spec.ClusterIP, "8000"))
	require.NoError(t, err)
	return address
}

// restart ends the hub's process, with whatever it had in mind, and waits for the next.
func (h *jupyterHub) restart(t *testing.T) {
	t.Helper()
	h.kubectl(t, "", "delete", "pod", "--namespace", h.namespace, "-l", "app=hub", "--wait=true", "--timeout", soon.String())
	h.awaitHub(t)
}

// pods are the uids of the servers' pods, by their users, who have one each.
func (h *jupyterHub) pods(t *testing.T) map[string]string {
	t.Helper()
	uids := map[string]string{}
	for _, pod := range h.serverPods(t) {
		user := pod.Annotations[policy.AnnotationUsername]
		require.NotContains(t, uids, user, "%s has another pod beside %s", user, pod.Name)
		uids[user] = string(pod.UID)
	}
	return uids
}

// homes are the claims that the servers' pods have as their home, by their users.
func (h *jupyterHub) homes(t *testing.T) map[string]string {
	t.Helper()
	claims := map[string]string{}
	for _, pod := range h.serverPods(t) {
		for _, volume := range pod.Spec.Volumes {
			if volume.Name == "home" {
				claims[pod.Annotations[policy.AnnotationUsername]] = volume.PersistentVolumeClaim.ClaimName
			}
		}
	}
	return claims
}

func (h *jupyterHub) serverPods(t *testing.T) []corev1.Pod {
	t.Helper()
	pods, err := h.admin.CoreV1().Pods(h.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: policy.LabelHub})
	require.NoError(t, err)
	return pods.Items
}

// stopAndStart has a user stop his server and start it again, which is another pod, and touches nobody else's.
func (h *jupyterHub) stopAndStart(t *testing.T, user string, choice step) {
	t.Helper()
	before := h.pods(t)
	require.Contains(t, before, user)
	h.do(t, user, "stop", nil)
	stopped := maps.Clone(before)
	delete(stopped, user)
	assert.Equal(t, stopped, h.pods(t))
	require.Empty(t, h.do(t, user, "start", choice).Refused)
	after := h.pods(t)
	require.Contains(t, after, user)
	assert.NotEqual(t, before[user], after[user], "the pod's uid: it wasn't started again")
	delete(after, user)
	assert.Equal(t, stopped, after)
}

// tellAboutHub shows what a failure is understood by.
func (h *jupyterHub) tellAboutHub(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods,persistentvolumeclaims,events", "-o", "wide"},
		{"logs", "-l", "app=hub", "--all-containers", "--prefix", "--tail=80"},
		{"logs", "-l", "component=singleuser-server", "--all-containers", "--prefix", "--tail=40"},
	} {
		out, err := h.Kubectl(context.WithoutCancel(t.Context()), nil, append(args, "--namespace", h.namespace)...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
