//go:build scale

// Package scale measures the launcher with 10,000 running servers: the real program beside a real API server.
package scale

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/fleet"
)

var (
	servers  = flag.Int("scale.servers", 10_000, "`number` of servers")
	launched = flag.Int("scale.launched", 1000, "`number` of those that the launcher starts; the others' pods are copies in etcd")
)

const (
	// What the launcher may take with 10,000 servers: MiB of memory, and seconds from its start until it is ready.
	memoryGoal, restartGoal = 150, 3
	// restarts is how often the launcher is started with all servers there.
	restarts = 5
	// atOnce is how many requests are under way at one time.
	atOnce = 32
)

// policy gives each server what servers usually have.
const policy = `
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: servers}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
  hubEnv: ["JUPYTERHUB_*", JPY_API_TOKEN]
  defaults:
    image: quay.io/jupyter/minimal-notebook:2026-01-05
    cmd: [jupyterhub-singleuser]
    defaultUrl: /lab
    memGuarantee: 512Mi
    memLimit: 1Gi
    cpuGuarantee: 50m
    environment: {JUPYTERHUB_SINGLEUSER_APP: jupyter_server.serverapp.ServerApp}
    uid: 1000
    fsGid: 100
    extraLabels: {hub.jupyter.org/network-access-hub: "true"}
    volumes: {home: {emptyDir: {}}}
    volumeMounts: {home: {mountPath: /home/jovyan}}
    tolerations:
      - {key: hub.jupyter.org/dedicated, operator: Equal, value: user, effect: NoSchedule}
  profiles:
    - {slug: small, displayName: Small, default: true}
    - {slug: large, displayName: Large, settings: {memLimit: 4Gi}}
`

func TestTenThousandServers(t *testing.T) {
	f := fleet.New(t, fleet.Options{
		Cluster:  kube.Options{FakeNodes: 20, Progress: os.Stderr},
		Webhooks: 1, Launchers: 1, Policy: policy,
	})
	var got figures
	m := &measurement{Fleet: f, figures: &got, hub: fleet.NewClient(f.Socket), launcher: f.Launchers[0]}
	*launched = min(*launched, *servers)
	got.add("servers", float64(*servers), "")
	got.add("servers that the launcher started; the others' pods are copies of one of these", float64(*launched), "")
	m.fill(t)
	m.copies(t)
	m.restart(t)
	m.ask(t)
	m.change(t)
	m.again(t)
	got.write(t, "scale")
}

type measurement struct {
	*fleet.Fleet
	*figures
	hub      *fleet.Client
	launcher *fleet.Unit
}

func user(i int) string { return fmt.Sprintf("user-%05d", i) }

// start is a request like JupyterHub's.
func start(i, attempt int) fleet.Start {
	name := user(i)
	env := map[string]string{
		"JUPYTERHUB_API_TOKEN": fmt.Sprintf("%032d", i), "JPY_API_TOKEN": fmt.Sprintf("%032d", i),
		"JUPYTERHUB_USER": name, "JUPYTERHUB_SERVER_NAME": "", "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-" + name,
		"JUPYTERHUB_API_URL": "http://hub:8081/hub/api", "JUPYTERHUB_BASE_URL": "/",
		"JUPYTERHUB_ACTIVITY_URL":                "http://hub:8081/hub/api/users/" + name + "/activity",
		"JUPYTERHUB_OAUTH_CALLBACK_URL":          "/user/" + name + "/oauth_callback",
		"JUPYTERHUB_OAUTH_SCOPES":                fmt.Sprintf(`["access:servers!server=%s/", "access:servers!user=%s"]`, name, name),
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES":         fmt.Sprintf(`["access:servers!server=%s/", "access:servers!user=%s"]`, name, name),
		"JUPYTERHUB_SERVICE_PREFIX":              "/user/" + name + "/",
		"JUPYTERHUB_SERVICE_URL":                 "http://0.0.0.0:8888/user/" + name + "/",
		"JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": "[]",
	}
	return fleet.Start{StartID: fmt.Sprintf("%s-%d", name, attempt), UserID: new(int64(i)), Groups: []string{"students"}, Env: env}
}

// each calls for every number below n, many at once, and gives how long each took.
func each(ctx context.Context, n int, call func(context.Context, int) error) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range atOnce {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return ctx.Err()
				}
				began := time.Now()
				if err := call(ctx, i); err != nil {
					return err
				}
				took[i] = time.Since(began)
			}
		})
	}
	return took, group.Wait()
}

// fill starts servers through the launcher and waits until they run.
func (m *measurement) fill(t *testing.T) {
	t.Helper()
	began := time.Now()
	took, err := each(t.Context(), *launched, func(ctx context.Context, i int) error {
		_, err := m.hub.Start(ctx, user(i), start(i, 0))
		return err
	})
	require.NoError(t, err)
	m.awaitRunning(t, *launched)
	m.add(fmt.Sprintf("starting them, %d at once", atOnce), time.Since(began).Seconds(), "s")
	m.times("start among these", took)
	used, err := m.launcher.Usage()
	require.NoError(t, err)
	m.add("launcher's processor time per start", milliseconds(used.CPU)/float64(*launched), "ms")
}

// awaitRunning waits until the launcher says that so many servers run.
func (m *measurement) awaitRunning(t *testing.T, want int) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := -1; ; {
		all, _, err := m.hub.List(t.Context())
		require.NoError(t, err)
		running := 0
		for _, s := range all {
			if s.State == "Running" {
				running++
			}
		}
		if running == want {
			return
		}
		require.True(t, running > last || time.Now().Before(m.deadline(t)), "%d of %d servers run, and the time is over", running, want)
		last = running
		select {
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		case <-tick.C:
		}
	}
}

func (m *measurement) deadline(t *testing.T) time.Time {
	t.Helper()
	at, ok := t.Deadline()
	require.True(t, ok, "run this test with -timeout")
	return at.Add(-time.Minute)
}

// restart kills and starts the launcher with all servers there.
func (m *measurement) restart(t *testing.T) {
	t.Helper()
	var took, cpu []time.Duration
	var atReady, later, peak int64
	for range restarts {
		require.NoError(t, m.launcher.Kill())
		began := time.Now()
		require.NoError(t, m.launcher.Start())
		require.NoError(t, m.launcher.AwaitReady(t.Context()))
		took = append(took, time.Since(began))
		first, err := m.launcher.Usage()
		require.NoError(t, err)
		cpu = append(cpu, first.CPU)
		all, _, err := m.hub.List(t.Context())
		require.NoError(t, err)
		assert.Len(t, all, *servers, "it says that it is ready, so it knows all servers")
		second, err := m.launcher.Usage()
		require.NoError(t, err)
		atReady, later, peak = max(atReady, first.RSS), max(later, second.RSS), max(peak, second.Peak)
	}
	m.bounded("launcher's start until it is ready, median", quantile(sorted(took), 0.5).Seconds(), "s", restartGoal)
	m.add("launcher's start until it is ready, longest", quantile(sorted(took), 1).Seconds(), "s")
	m.add("launcher's processor time until it is ready, median", quantile(sorted(cpu), 0.5).Seconds(), "s")
	m.memory("launcher's memory when it is ready", atReady)
	m.memory("launcher's memory after its first list", later)
	m.bounded("launcher's most memory, until after its first list", mebibytes(peak), "MiB", memoryGoal)
}
