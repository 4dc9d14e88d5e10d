package apiserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/world"
)

// The launcher's program as a pod runs it: it says which rights it lacks, is ready once it has them, and ends on SIGTERM.
func TestTheLauncherIsReadyWithItsRightsAlone(t *testing.T) {
	w := world.ForTest(t)
	ports, err := world.FreePorts(2)
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "slipway-launcher")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "github.com/slipway-hub/slipway/cmd/slipway-launcher").CombinedOutput()
	require.NoError(t, err, "%s", built)
	ns := w.Namespace(t)
	cmd := exec.CommandContext(t.Context(), program, "--kubeconfig", accountFile(t, w, ns, "launcher"), "--namespace", ns, "--drain-delay", "0s",
		"--health-probe-bind-address", fmt.Sprintf("127.0.0.1:%d", ports[0]), "--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", ports[1]))
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	log := bufio.NewReader(stderr)

	policies := rbacv1.PolicyRule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"spawnpolicies", "clusterspawnpolicies"}, Verbs: []string{"list"},
	}
	pods := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}}
	noPods := "this account may not create pods in namespace " + ns
	said := awaitLine(t, log, "not ready")
	assert.Contains(t, said, noPods)
	assert.Contains(t, said, "list SpawnPolicy objects in namespace "+ns)
	assert.Contains(t, said, "list ClusterSpawnPolicy objects in every namespace")
	assert.Equal(t, http.StatusInternalServerError, statusAt(t, ports[0], "readyz"))
	assert.Equal(t, http.StatusOK, statusAt(t, ports[0], "healthz"))
	require.NoError(t, w.Grant(t.Context(), "policies-"+ns, ns, "launcher", []rbacv1.PolicyRule{policies}))
	for strings.Contains(said, "list ") {
		said = awaitLine(t, log, "not ready")
	}
	assert.Contains(t, said, noPods)
	require.NoError(t, w.Grant(t.Context(), "pods-"+ns, ns, "launcher", []rbacv1.PolicyRule{pods}))
	awaitLine(t, log, `"ready"`)
	require.NoError(t, world.Eventually(t.Context(), func() error {
		if status := statusAt(t, ports[0], "readyz"); status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	}))
	assert.Equal(t, http.StatusOK, statusAt(t, ports[1], "metrics"))

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(log)
	require.NoError(t, err)
	assert.NoError(t, cmd.Wait(), "a clean end is exit code 0\n%s", rest)
}

// accountFile makes a service account without rights, and a kubeconfig with its token.
func accountFile(t *testing.T, w *world.World, namespace, name string) string {
	t.Helper()
	config, err := w.Account(t.Context(), namespace, name, nil)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: name,
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData, CertificateAuthority: config.CAFile}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: config.BearerToken}},
	}, path))
	return path
}

// awaitLine gives the next line of a log that has this in it.
func awaitLine(t *testing.T, log *bufio.Reader, part string) string {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for {
			line, err := log.ReadString('\n')
			if strings.Contains(line, part) {
				found <- line
			}
			if err != nil || strings.Contains(line, part) {
				return
			}
		}
	}()
	select {
	case line := <-found:
		require.NotEmpty(t, line, "the log ended before it said %q", part)
		return line
	case <-time.After(world.Soon):
		require.NoError(t, errors.New("the log doesn't say "+part))
	}
	return ""
}

func statusAt(t *testing.T, port int, path string) int {
	t.Helper()
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/%s", port, path))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}
