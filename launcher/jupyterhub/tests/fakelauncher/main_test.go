package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
    - {slug: exit, displayName: Exit, settings: {image: "x/exit-3:1"}}
`

// world is a running fakelauncher.
func world(t *testing.T) *http.Client {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policies.yaml"), []byte(policies), 0o600))
	socket := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	reads, writes := io.Pipe()
	go func() {
		ended <- run(ctx, &options{socket: socket, policies: dir, hubs: "main", namespace: "jupyter", account: "system:serviceaccount:jupyter:hub"}, writes)
	}()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	line, err := bufio.NewReader(reads).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
}

// ask gives status and body.
func ask(t *testing.T, c *http.Client, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://launcher"+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func TestAServerGoesItsWay(t *testing.T) {
	c := world(t)
	const server = "/v1/hubs/main/users/alice/server"
	status, body := ask(t, c, http.MethodPut, server, `{"startId":"a","env":{"JUPYTERHUB_API_TOKEN":"t"}}`)
	require.Equal(t, http.StatusCreated, status, body)
	_, body = ask(t, c, http.MethodGet, server+"/progress", "")
	assert.Contains(t, body, `"done":true,"server":{"hub":"main","user":"alice"`)
	assert.Contains(t, body, `"url":"http://127.0.0.1:8888"`)
	status, _ = ask(t, c, http.MethodPut, server, `{"startId":"a"}`)
	assert.Equal(t, http.StatusOK, status)

	_, body = ask(t, c, http.MethodGet, "/fake/objects", "")
	var objects map[string][]map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &objects))
	assert.Len(t, objects["pods"], 1)
	assert.Len(t, objects["secrets"], 1)
	assert.Len(t, objects["claims"], 1)

	status, body = ask(t, c, http.MethodDelete, server+"?waitSeconds=10", "")
	assert.Equal(t, http.StatusNoContent, status, body)
	status, _ = ask(t, c, http.MethodGet, server, "")
	assert.Equal(t, http.StatusNotFound, status)
	_, body = ask(t, c, http.MethodGet, "/fake/objects", "")
	require.NoError(t, json.Unmarshal([]byte(body), &objects))
	assert.Empty(t, objects["pods"])
	assert.Empty(t, objects["secrets"], "they go with their pod")
	assert.Len(t, objects["claims"], 1, "it stays")
}

func TestPolicyDecides(t *testing.T) {
	c := world(t)
	_, body := ask(t, c, http.MethodGet, "/v1/hubs/main/users/bob/profiles", "")
	assert.NotContains(t, body, "GPU")
	status, body := ask(t, c, http.MethodPut, "/v1/hubs/main/users/bob/server", `{"startId":"a","profile":"gpu"}`)
	assert.Equal(t, http.StatusForbidden, status)
	assert.Contains(t, body, `"code":"ProfileNotAllowed"`)
	assert.Contains(t, body, `may not choose profile`)
	status, _ = ask(t, c, http.MethodPut, "/v1/hubs/main/users/bob/server", `{"startId":"a","profile":"gpu","groups":["staff"]}`)
	assert.Equal(t, http.StatusCreated, status)
}

func TestImagesSayWhatBecomesOfTheServer(t *testing.T) {
	c := world(t)
	ask(t, c, http.MethodPut, "/v1/hubs/main/users/eve/server", `{"startId":"a","profile":"exit"}`)
	_, body := ask(t, c, http.MethodGet, "/v1/hubs/main/users/eve/server/progress", "")
	assert.Contains(t, body, `"exitCode":3`)
	ask(t, c, http.MethodPut, "/v1/hubs/main/users/mallory/server", `{"startId":"a","profile":"broken"}`)
	_, body = ask(t, c, http.MethodDelete, "/v1/hubs/main/users/mallory/server?waitSeconds=10", "")
	assert.Empty(t, body)
}
