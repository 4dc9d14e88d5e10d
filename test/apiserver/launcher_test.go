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
	"sync"
	"syscall"
	"testing"

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
	ns := w.Namespace(t)
	l := startLauncher(t, accountFile(t, w, ns, "launcher"), "--namespace", ns, "--socket", filepath.Join(t.TempDir(), "s"), "--hub", "main",
		"--pod-logs", "--user-namespaces")
	policies := rbacv1.PolicyRule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"spawnpolicies", "clusterspawnpolicies"}, Verbs: []string{"list"},
	}
	missing := "this account may not create pods, get pods, list pods, watch pods, delete pods, create secrets, watch spawnpolicies, get pods/log in namespace " + ns
	said := awaitLine(t, l.log, "not ready")
	assert.Contains(t, said, missing)
	assert.Contains(t, said, "list SpawnPolicy objects in namespace "+ns)
	assert.Contains(t, said, "list ClusterSpawnPolicy objects in every namespace")
	assert.Contains(t, said, "watch clusterspawnpolicies, create namespaces in every namespace")
	assert.NotContains(t, said, "tokenreviews", "nobody comes in by token")
	assert.Equal(t, http.StatusInternalServerError, statusAt(t, l.health, "readyz"))
	assert.Equal(t, http.StatusOK, statusAt(t, l.health, "healthz"))
	require.NoError(t, w.Grant(t.Context(), "policies-"+ns, ns, "launcher", []rbacv1.PolicyRule{policies}))
	for strings.Contains(said, "list SpawnPolicy") || strings.Contains(said, "list ClusterSpawnPolicy") {
		said = awaitLine(t, l.log, "not ready")
	}
	assert.Contains(t, said, missing)
	require.NoError(t, w.Grant(t.Context(), "rest-"+ns, ns, "launcher", launcherRights(t).Everywhere))
	awaitLine(t, l.log, `"ready"`)
	l.await(t, http.StatusOK)
	assert.Equal(t, http.StatusOK, statusAt(t, l.metrics, "metrics"))
	l.stop(t)
}

// Each answer that it isn't ready is a line of its log, and whoever asks may ask for long.
func TestALauncherThatIsNotReadyAnswersForLong(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	l := startLauncher(t, accountFile(t, w, ns, "launcher"), "--namespace", ns, "--socket", filepath.Join(t.TempDir(), "s"), "--hub", "main")
	l.await(t, http.StatusInternalServerError)
	for range 1_000 {
		require.Equal(t, http.StatusInternalServerError, statusAt(t, l.health, "readyz"))
	}
	l.stop(t)
}

// launcherProgram is a running slipway-launcher.
type launcherProgram struct {
	cmd             *exec.Cmd
	log             *programLog
	health, metrics int
}

func startLauncher(t *testing.T, kubeconfig string, args ...string) *launcherProgram {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slipway-launcher")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "github.com/slipway-hub/slipway/cmd/slipway-launcher").CombinedOutput()
	require.NoError(t, err, "%s", built)
	ports, err := world.FreePorts(2)
	require.NoError(t, err)
	p := &launcherProgram{health: ports[0], metrics: ports[1]}
	p.cmd = exec.CommandContext(t.Context(), path, append([]string{
		"--kubeconfig", kubeconfig, "--drain-delay", "0s",
		"--health-probe-bind-address", fmt.Sprintf("127.0.0.1:%d", p.health), "--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", p.metrics),
	}, args...)...)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	p.log = readLog(stderr)
	return p
}

// await waits until readiness answers like this.
func (p *launcherProgram) await(t *testing.T, status int) {
	t.Helper()
	require.NoError(t, world.Eventually(t.Context(), func() error {
		answer, err := bounded.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", p.health))
		if err != nil {
			return err // it doesn't listen yet
		}
		if answer.StatusCode != status {
			err = fmt.Errorf("status %d", answer.StatusCode)
		}
		return errors.Join(err, answer.Body.Close())
	}))
}

// stop ends it as kubelet does, and gives the rest of its log.
func (p *launcherProgram) stop(t *testing.T) string {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	rest := p.log.rest()
	assert.NoError(t, p.cmd.Wait(), "a clean end is exit code 0\n%s", rest)
	return rest
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

// programLog has the lines of a program's log. They are read as they come, whether or not a test waits for one: a program whose log nobody
// reads stops at the line that the pipe has no room for.
type programLog struct {
	// ended is closed when the log has.
	ended chan struct{}

	mu    sync.Mutex
	lines []string
}

func readLog(from io.Reader) *programLog {
	l := &programLog{ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for r := bufio.NewReader(from); ; {
			line, err := r.ReadString('\n')
			l.mu.Lock()
			l.lines = append(l.lines, line)
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return l
}

// next takes the lines up to the first that has this in it, and gives that one; "" where there is none yet, and then none is taken.
func (l *programLog) next(part string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, line := range l.lines {
		if strings.Contains(line, part) {
			l.lines = l.lines[i+1:]
			return line
		}
	}
	return ""
}

// rest are the lines that weren't taken, once the program has ended.
func (l *programLog) rest() string {
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// awaitLine gives the next line of a log that has this in it.
func awaitLine(t *testing.T, log *programLog, part string) string {
	t.Helper()
	var line string
	require.NoError(t, world.Eventually(t.Context(), func() error {
		if line = log.next(part); line == "" {
			return errors.New("the log doesn't say " + part)
		}
		return nil
	}))
	return line
}

// bounded has a program that hangs fail its own test.
var bounded = &http.Client{Timeout: world.Soon}

func statusAt(t *testing.T, port int, path string) int {
	t.Helper()
	answer, err := bounded.Get(fmt.Sprintf("http://127.0.0.1:%d/%s", port, path))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}
