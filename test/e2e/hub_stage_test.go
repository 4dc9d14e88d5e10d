//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// jupyterImages is what test/images/build.py makes.
	jupyterImages = root + "/dist/jupyter.tar"
	// hubPassword is as good as any other.
	hubPassword = "open sesame"
)

// jupyterHub is a real one, in a namespace of its own, with a browser in front of it.
type jupyterHub struct {
	*stage
	*browser
	namespace string
}

var jupyterLoaded sync.Once

// startHub starts a hub whose spawner is configured in a folder of testdata/hub. Everything goes away with the test.
func (s *stage) startHub(t *testing.T, namespace, spawner string) *jupyterHub {
	t.Helper()
	jupyterLoaded.Do(func() { require.NoError(t, s.LoadImage(t.Context(), jupyterImages)) })
	s.makeVolumes(t, namespace)
	require.NoError(t, s.CreateNamespace(t.Context(), namespace, map[string]string{"tier": "hub"}))
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
	h.configure(t, spawner)
	h.apply(t, "testdata/hub/hub.yaml")
	h.awaitHub(t)
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
		require.NoError(t, os.Chmod(path, 0o777)) //nolint:gosec // see above
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

// configure gives the hub its configuration, which it reads when it starts.
func (h *jupyterHub) configure(t *testing.T, spawner string) {
	t.Helper()
	config := h.kubectl(t, "", "create", "configmap", "hub", "--namespace", h.namespace, "--dry-run=client", "-o", "yaml",
		"--from-file", "testdata/hub/jupyterhub_config.py", "--from-file", "testdata/hub/"+spawner+"/spawner.py")
	h.kubectl(t, config, "apply", "-f", "-")
	h.apply(t, "testdata/hub/"+spawner+"/rights.yaml")
}

// apply applies a file to the hub's namespace.
func (h *jupyterHub) apply(t *testing.T, file string) {
	t.Helper()
	h.kubectl(t, "", "apply", "--namespace", h.namespace, "-f", file)
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

// pod of a server, which has to be there.
func (h *jupyterHub) pod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod, err := h.admin.CoreV1().Pods(h.namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return pod
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
