//go:build full

// Package schemathesis has the launcher's API asked everything that its description allows, and much that it doesn't.
package schemathesis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	root        = "../.."
	description = root + "/launcher/api/openapi.yaml"
	// seed makes a run like the last one; SCHEMATHESIS_SEED has another.
	seed = "8"
)

// policies have profiles to choose, options to get wrong, and servers that don't come up.
const policies = `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: all}
spec:
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
  hubEnv: ["*"]
  defaults: {image: quay.io/jupyter/minimal:1, storagePvcEnsure: true, storageCapacity: 1Gi}
  profiles:
    - {slug: small, displayName: Small, default: true, settings: {}}
    - {slug: gpu, displayName: GPU, allowedGroups: [staff], settings: {image: "x/slow:1"}}
    - {slug: broken, displayName: Broken, settings: {image: "x/fail-pull:1"}}
`

// No answer is the launcher's own failure, and none is undocumented: no status, header, content type or field.
func TestNothingIsAnsweredThatIsNotDescribed(t *testing.T) {
	url := startLauncher(t)
	t.Run("all but progress", func(t *testing.T) {
		run(t, url, "--exclude-operation-id-regex", "watchProgress", "--max-examples", "100")
	})
	t.Run("progress", func(t *testing.T) {
		// Each waits for a server that never appears.
		run(t, url, "--include-operation-id-regex", "watchProgress", "--max-examples", "3", "--phases", "examples,coverage,fuzzing")
	})
}

func startLauncher(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policies.yaml"), []byte(policies), 0o600))
	program := filepath.Join(dir, "fakelauncher")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "github.com/slipway-hub/slipway/launcher/jupyterhub/tests/fakelauncher").CombinedOutput()
	require.NoError(t, err, "%s", built)
	address := freeAddress(t)
	cmd := exec.CommandContext(t.Context(), program, "--address", address, "--policies", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // it is killed with the test's context
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return "http://" + address
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func run(t *testing.T, url string, args ...string) {
	t.Helper()
	bin, err := exec.CommandContext(t.Context(), "python3", root+"/tools/pyenv.py", "requirements.txt").Output()
	require.NoError(t, err)
	const longEnough = 15 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	seed := seed
	if other := os.Getenv("SCHEMATHESIS_SEED"); other != "" {
		seed = other
	}
	cmd := exec.CommandContext(ctx, filepath.Join(strings.TrimSpace(string(bin)), "schemathesis"), append([]string{
		"--config-file", absolute(t, "schemathesis.toml"), "run", absolute(t, description), "--url", url, "--checks", "all", "--seed", seed,
		"--request-timeout", "30", "--suppress-health-check", "all",
	}, args...)...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	cmd.Dir = t.TempDir() // it remembers there what failed
	out, err := cmd.CombinedOutput()
	if !assert.NoError(t, err) {
		t.Log(string(out))
		return
	}
	summary, err := summaryOf(string(out))
	require.NoError(t, err)
	t.Log(summary)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// summaryOf is the end of what schemathesis says. An operation that isn't tested is no success.
func summaryOf(out string) (string, error) {
	_, summary, ok := strings.Cut(out, " SUMMARY ")
	if !ok || !strings.Contains(summary, "Test cases:") {
		return "", errors.New("schemathesis gives no summary")
	}
	var selected, all, tested int
	for line := range strings.Lines(summary) {
		line = strings.TrimSpace(line)
		_, _ = fmt.Sscanf(line, "Selected: %d/%d", &selected, &all) // other lines are others
		_, _ = fmt.Sscanf(line, "Tested: %d", &tested)
	}
	if selected == 0 || tested != selected {
		return "", fmt.Errorf("%d operations of %d were tested", tested, selected)
	}
	return summary, nil
}
