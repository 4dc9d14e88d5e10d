//go:build e2e && full

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/observability"
)

const (
	// watched is how long Prometheus scrapes, and every how often.
	watched, every = 2 * time.Minute, time.Second
	// audited has something to report of each server of the load.
	audited = `
apiVersion: slipway.dev/v1alpha1
kind: SpawnPolicy
metadata: {name: stricter, namespace: ` + loadNamespace + `}
spec: {enforcement: Audit, enforced: {memLimit: 32Mi}}
`
)

// TestMonitoring has a real Prometheus scrape the installed replicas; every panel of the dashboard and every alert has data.
// E2E_PICTURE is a file for a picture of it.
func TestMonitoring(t *testing.T) {
	s := onStage(t)
	before := s.inventoryNow(t)
	if !t.Run("installed", func(t *testing.T) { s.install(t); s.applyPolicies(t) }) ||
		!t.Run("every panel and alert has data", s.scrape) {
		s.tellAbout(t)
	}
	t.Run("uninstalled, nothing is left", func(t *testing.T) { s.uninstall(t, before) })
}

func (s *stage) scrape(t *testing.T) {
	t.Helper()
	programs, err := kube.Prometheus.Build(t.Context(), os.Stderr)
	require.NoError(t, err)
	address := freeAddress(t)
	prometheus, err := observability.StartPrometheus(t.Context(), filepath.Join(programs, "prometheus"), t.TempDir(), address, s.metrics(t), every)
	require.NoError(t, err)
	defer func() { assert.NoError(t, prometheus.Stop()) }()
	l := startLoad(t, s.hub(t), loadNamespace, hubName)
	s.deny(t, watched/2)
	s.kubectl(t, audited, "apply", "-f", "-") // so that Prometheus sees policies compiled
	s.deny(t, watched/2)
	l.requireNoFailure(t, "monitoring")

	source, err := observability.NewSource(prometheus.URL, watched, 10*every)
	require.NoError(t, err)
	panels, err := observability.Panels(chart)
	require.NoError(t, err)
	alerts, err := observability.Alerts(chart)
	require.NoError(t, err)
	missing, err := source.Missing(t.Context(), panels, alerts)
	require.NoError(t, err)
	assert.Empty(t, missing, "panels and alerts without data")
	t.Logf("%d panels and %d alerts have data", len(panels), len(alerts))
	if file := os.Getenv("E2E_PICTURE"); file != "" {
		picture, err := os.Create(file)
		require.NoError(t, err)
		require.NoError(t, observability.Draw(t.Context(), picture, source, panels))
		require.NoError(t, picture.Close())
	}
}

// metrics are addresses on this machine at which the replicas tell theirs.
func (s *stage) metrics(t *testing.T) []string {
	t.Helper()
	pods, err := s.admin.CoreV1().Pods(ownNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: webhookPods})
	require.NoError(t, err)
	var addresses []string
	for _, pod := range pods.Items {
		address, err := s.Forward(t.Context(), 0, net.JoinHostPort(pod.Status.PodIP, "8080"))
		require.NoError(t, err)
		addresses = append(addresses, address)
	}
	require.Len(t, addresses, 2)
	return addresses
}

// deny asks for servers that policy refuses, twice a second, for a while.
func (s *stage) deny(t *testing.T, lasts time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	hub := s.hub(t)
	for tick := time.NewTicker(500 * time.Millisecond); ; {
		id := policy.Identity{Name: "jupyter-mallory", Hub: "elsewhere", User: "mallory"}
		_, err := hub.CoreV1().Pods(courseNamespace).Create(ctx, launcher.Skeleton(id, courseNamespace), metav1.CreateOptions{})
		if ctx.Err() != nil {
			return
		}
		require.ErrorContains(t, err, "Slipway LauncherNotAllowed")
		<-tick.C
	}
}

// freeAddress is one of the loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
