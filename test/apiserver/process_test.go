package apiserver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/test/world"
)

// The program as a pod runs it: flags, a log of JSON, readiness, a certificate that comes late and is replaced, SIGTERM.
func TestTheProgramServesAndEnds(t *testing.T) {
	w := world.ForTest(t)
	ports, err := world.FreePorts(3)
	require.NoError(t, err)
	dir := t.TempDir()
	program := filepath.Join(t.TempDir(), "slipway-webhook")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "github.com/slipway-hub/slipway/cmd/slipway-webhook").CombinedOutput()
	require.NoError(t, err, "%s", built)

	cmd := exec.CommandContext(t.Context(), program, "--cert-dir", dir, "--bind-address", "127.0.0.1", "--port", fmt.Sprint(ports[0]),
		"--health-probe-bind-address", fmt.Sprintf("127.0.0.1:%d", ports[1]), "--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", ports[2]),
		"--drain-delay", "0s", "--log-level", "debug")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Cluster.Kubeconfig(), "POD_NAMESPACE="+world.OwnNamespace, "POD_NAME=program")
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var lines []string
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(log); s.Scan(); {
			lines = append(lines, s.Text())
		}
	}()

	r := &world.Replica{Port: ports[0], Health: ports[1]}
	require.NoError(t, r.Await(t.Context(), http.StatusInternalServerError))
	assert.Contains(t, readiness(t, r), "[-]certificate failed")
	for range 2 {
		pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
		require.NoError(t, err)
		require.NoError(t, pair.Write(dir))
		require.NoError(t, r.Await(t.Context(), http.StatusOK))
		r.Client = world.Trusting(pair.CA)
		require.NoError(t, world.Eventually(t.Context(), func() error {
			body, err := r.Review(w.ReviewIn("default"))
			if err == nil && !strings.Contains(string(body), "NoPolicy") {
				err = errors.New(string(body))
			}
			return err
		}))
	}

	awaitLease(t, w, "slipway-webhook-program")

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	<-read
	require.NoError(t, cmd.Wait(), "a clean end is exit code 0\n%s", strings.Join(lines, "\n"))
	assert.NoError(t, leaseIsGone(t, w, "slipway-webhook-program"))
	require.NotEmpty(t, lines)
	for _, line := range lines {
		assert.True(t, json.Valid([]byte(line)), "not JSON: %s", line)
	}
}
