package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher/api"
	"github.com/slipway-hub/slipway/test/world"
)

// apiLaunches lets the launcher launch, and gives all of the hub's environment.
const apiLaunches = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: NAMESPACE, name: launcher}, mayAssertGroups: ["*"]}]
  hubEnv: ["*"]
  defaults: {image: none}
  profiles:
    - {slug: small, displayName: Small, default: true, settings: {}}
    - {slug: gpu, displayName: GPU, allowedGroups: [staff], settings: {}}
`

// hub is one that asks the launcher.
type hub struct {
	client *http.Client
	base   string
	token  string
}

// ask gives status and body.
func (h *hub) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	answer := h.open(t, method, path, body)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func (h *hub) open(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.base+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if h.token != "" {
		r.Header.Set("Authorization", "Bearer "+h.token)
	}
	answer, err := h.client.Do(r)
	require.NoError(t, err)
	return answer
}

// hubToken makes a service account's token, for these audiences; none: the API server's own.
func hubToken(t *testing.T, w *world.World, namespace, account string, audiences ...string) string {
	t.Helper()
	require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), namespace, account))
	token, err := w.Admin.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return token.Status.Token
}

// apiWorld is a launcher that serves two hubs by TLS, each by an account of its own, and the first one by a socket too.
type apiWorld struct {
	*launcherProgram

	w                    *world.World
	ns                   string
	first, other, socket *hub
}

func startAPI(t *testing.T) *apiWorld {
	t.Helper()
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, apiLaunches)
	kubeconfig := accountFile(t, w, ns, "launcher")
	require.NoError(t, w.Grant(t.Context(), "launcher-"+ns, ns, "launcher", launcherRights(t).Everywhere))
	dir := t.TempDir()
	pair, err := certs.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
	require.NoError(t, err)
	require.NoError(t, pair.Write(dir))
	ports, err := world.FreePorts(1)
	require.NoError(t, err)
	address, socket := fmt.Sprintf("127.0.0.1:%d", ports[0]), filepath.Join(t.TempDir(), "s")
	l := startLauncher(t, kubeconfig, "--namespace", ns, "--bind-address", address, "--tls-cert-dir", dir,
		"--account", ns+"/hub=main", "--account", ns+"/other=other", "--socket", socket, "--hub", "main")
	l.await(t, http.StatusOK)
	byTLS := func(account string) *hub {
		client := world.Trusting(pair.CA)
		client.Timeout = 0
		return &hub{client: client, base: "https://" + address, token: hubToken(t, w, ns, account, api.Audience)}
	}
	return &apiWorld{launcherProgram: l, w: w, ns: ns, first: byTLS("hub"), other: byTLS("other"), socket: &hub{
		base: "http://launcher", client: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}},
	}}
}

const aliceServer = "/v1/hubs/main/users/alice/server"

func TestAHubStartsWatchesAndStopsAServerByHTTP(t *testing.T) {
	a := startAPI(t)
	status, body := a.first.ask(t, http.MethodPut, aliceServer, `{"startId":"s","env":{"JUPYTERHUB_API_TOKEN":"a-secret-token"}}`)
	require.Equal(t, http.StatusCreated, status, body)
	var server api.Server
	require.NoError(t, json.Unmarshal([]byte(body), &server))
	assert.Equal(t, "Pending", server.State)
	pod, err := a.w.Admin.CoreV1().Pods(a.ns).Get(t.Context(), server.Pod, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, server.UID, string(pod.UID))
	secret, err := a.w.Admin.CoreV1().Secrets(a.ns).Get(t.Context(), server.Pod+"-env-"+server.StartID8, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "a-secret-token", string(secret.Data["JUPYTERHUB_API_TOKEN"]))
	assert.Equal(t, pod.UID, secret.OwnerReferences[0].UID)

	status, again := a.socket.ask(t, http.MethodPut, aliceServer, `{"startId":"s"}`)
	assert.Equal(t, http.StatusOK, status, "the same start, by the other way in: %s", again)
	_, body = a.socket.ask(t, http.MethodGet, "/v1/hubs/main/servers", "")
	assert.Contains(t, body, server.UID)

	status, body = a.first.ask(t, http.MethodPut, "/v1/hubs/main/users/bob/server", `{"startId":"s","profile":"gpu"}`)
	assert.Equal(t, http.StatusForbidden, status)
	var problem api.Problem
	require.NoError(t, json.Unmarshal([]byte(body), &problem))
	assert.Equal(t, "ProfileNotAllowed", problem.Code)
	assert.Contains(t, problem.Detail, `may not choose profile "gpu"`, "the whole sentence")
	assert.False(t, problem.Retryable)
	_, body = a.first.ask(t, http.MethodGet, "/v1/hubs/main/users/bob/profiles?group=staff", "")
	assert.Contains(t, body, `"gpu"`)

	progress := a.first.open(t, http.MethodGet, aliceServer+"/progress", "")
	defer progress.Body.Close()
	steps := bufio.NewReader(progress.Body)
	for line := ""; !strings.Contains(line, "Policy admitted pod"); {
		line, err = steps.ReadString('\n')
		require.NoError(t, err)
	}

	status, body = a.first.ask(t, http.MethodDelete, aliceServer+"?gracePeriodSeconds=0&waitSeconds=20", "")
	assert.Equal(t, http.StatusNoContent, status, body)
	rest, err := io.ReadAll(steps)
	require.NoError(t, err)
	assert.Contains(t, string(rest), `"done":true`)
	status, _ = a.first.ask(t, http.MethodGet, aliceServer, "")
	assert.Equal(t, http.StatusNotFound, status)

	log := a.stop(t)
	assert.NotContains(t, log, "a-secret-token")
	assert.Contains(t, log, `"operation":"startServer"`)
}

const aliceUser = "/v1/hubs/main/users/alice"

// tries are all operations on what is the hub main's.
var tries = []struct{ method, path, body string }{
	{http.MethodGet, "/v1/hubs/main/servers", ""},
	{http.MethodGet, aliceUser + "/server", ""},
	{http.MethodPut, aliceUser + "/server", `{"startId":"another"}`},
	{http.MethodDelete, aliceUser + "/server?gracePeriodSeconds=0", ""},
	{http.MethodGet, aliceUser + "/server/progress", ""},
	{http.MethodGet, aliceUser + "/servers/x", ""},
	{http.MethodPut, aliceUser + "/servers/x", `{"startId":"another"}`},
	{http.MethodDelete, aliceUser + "/servers/x", ""},
	{http.MethodGet, aliceUser + "/servers/x/progress", ""},
	{http.MethodGet, aliceUser + "/profiles", ""},
	{http.MethodGet, aliceUser + "/claims", ""},
	{http.MethodDelete, aliceUser + "/claims", ""},
	{http.MethodDelete, aliceUser + "/server/claims", ""},
	{http.MethodDelete, aliceUser + "/servers/x/claims", ""},
}

// Each operation, as another hub's token tries it.
func TestAnotherHubReadsAndStopsNothing(t *testing.T) {
	a := startAPI(t)
	status, body := a.first.ask(t, http.MethodPut, aliceServer, `{"startId":"s"}`)
	require.Equal(t, http.StatusCreated, status, body)
	var server api.Server
	require.NoError(t, json.Unmarshal([]byte(body), &server))

	strangers := map[string]*hub{
		"another hub":                        a.other,
		"no token":                           {client: a.first.client, base: a.first.base},
		"a token for the API server":         {client: a.first.client, base: a.first.base, token: hubToken(t, a.w, a.ns, "hub")},
		"a token for somebody else":          {client: a.first.client, base: a.first.base, token: hubToken(t, a.w, a.ns, "hub", "another-audience")},
		"an account that no hub has":         {client: a.first.client, base: a.first.base, token: hubToken(t, a.w, a.ns, "default", api.Audience)},
		"an account of the same name":        {client: a.first.client, base: a.first.base, token: hubToken(t, a.w, world.HubNamespace, "hub", api.Audience)},
		"a token with something after it":    {client: a.first.client, base: a.first.base, token: a.first.token + "x"},
		"the first hub's, to another's path": nil,
	}
	for name, stranger := range strangers {
		t.Run(name, func(t *testing.T) {
			in := "main"
			if stranger == nil {
				stranger, in = a.first, "other"
			}
			for _, try := range tries {
				status, body := stranger.ask(t, try.method, strings.Replace(try.path, "/hubs/main/", "/hubs/"+in+"/", 1), try.body)
				assert.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, status, "%s %s: %s", try.method, try.path, body)
				assert.NotContains(t, body, server.UID)
				assert.NotContains(t, body, server.Pod)
			}
		})
	}
	t.Run("under its own name", func(t *testing.T) {
		for _, try := range tries {
			if strings.HasSuffix(try.path, "/progress") || try.method == http.MethodPut {
				continue // they wait for what isn't there, or make something of its own
			}
			_, body := a.other.ask(t, try.method, strings.Replace(try.path, "/hubs/main/", "/hubs/other/", 1), try.body)
			assert.NotContains(t, body, server.UID)
		}
		status, body := a.other.ask(t, http.MethodPut, "/v1/hubs/other/users/alice/server", `{"startId":"another"}`)
		assert.Equal(t, http.StatusForbidden, status, "the pod's name is the first hub's: %s", body)
		assert.Contains(t, body, "IdentityConflict")
	})
	pod, err := a.w.Admin.CoreV1().Pods(a.ns).Get(t.Context(), server.Pod, metav1.GetOptions{})
	require.NoError(t, err, "the first hub's server is there")
	assert.Equal(t, server.UID, string(pod.UID))
	assert.Nil(t, pod.DeletionTimestamp)
	pods, err := a.w.Admin.CoreV1().Pods(a.ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, pods.Items, 1)
	a.stop(t)
}

func TestTheAPIEndsWithoutCuttingAnythingOff(t *testing.T) {
	a := startAPI(t)
	status, body := a.first.ask(t, http.MethodPut, aliceServer, `{"startId":"s"}`)
	require.Equal(t, http.StatusCreated, status, body)
	progress := a.first.open(t, http.MethodGet, aliceServer+"/progress", "")
	defer progress.Body.Close()
	steps := bufio.NewReader(progress.Body)
	first, err := steps.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, ": here\n", first)
	a.stop(t)
	rest, err := io.ReadAll(steps)
	require.NoError(t, err, "it ends as a stream does")
	assert.True(t, bytes.HasSuffix(rest, []byte("retry: 1000\n\n")), "%s", rest)
	assert.NotContains(t, string(rest), `"done":true`)
}
