//go:build full

package observability_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/observability"
	"github.com/slipway-hub/slipway/test/world"
)

const (
	chart = "../../charts/slipway"
	// lasts is how long there is load, and every how often it is scraped.
	lasts, every = 75 * time.Second, time.Second
)

// A real API server, the real webhook, and a real Prometheus that scrapes it while hubs launch servers. What certificates
// tell isn't there: these replicas read theirs from files.
func TestARealPrometheusHasDataForEveryPanelAndAlert(t *testing.T) {
	w := world.ForTest(t)
	programs, err := kube.Prometheus.Build(t.Context(), os.Stderr)
	require.NoError(t, err)
	ports, err := world.FreePorts(1)
	require.NoError(t, err)
	// Both replicas are in this process and tell the same.
	target := fmt.Sprintf("127.0.0.1:%d", w.Replicas[0].Metrics)
	prometheus, err := observability.StartPrometheus(t.Context(), filepath.Join(programs, "prometheus"), t.TempDir(), fmt.Sprintf("127.0.0.1:%d", ports[0]), []string{target}, every)
	require.NoError(t, err)
	defer func() { assert.NoError(t, prometheus.Stop()) }()

	load(t, w)
	source, err := observability.NewSource(prometheus.URL, lasts, 10*every)
	require.NoError(t, err)
	panels, err := observability.Panels(chart)
	require.NoError(t, err)
	alerts, err := observability.Alerts(chart)
	require.NoError(t, err)
	missing, err := source.Missing(t.Context(), panels, alerts)
	require.NoError(t, err)
	assert.Empty(t, slices.DeleteFunc(missing, func(what string) bool { return strings.Contains(what, "slipway_certificate_") }))

	nothing, err := source.Series(t.Context(), `slipway_admissions_total{reason="NobodyHasThis"}`)
	require.NoError(t, err)
	assert.Empty(t, nothing)

	var picture bytes.Buffer
	require.NoError(t, observability.Draw(t.Context(), &picture, source, panels))
	if file := os.Getenv("SLIPWAY_PICTURE"); file != "" {
		require.NoError(t, os.WriteFile(file, picture.Bytes(), 0o644))
	}
	text := picture.String()
	for _, p := range panels {
		assert.Contains(t, text, ">"+html.EscapeString(p.Title)+"</text>")
	}
	decoder := xml.NewDecoder(&picture)
	for err == nil {
		_, err = decoder.Token()
	}
	require.ErrorIs(t, err, io.EOF, "it is well-formed")
}

// load launches servers for a while: some are fitted, some denied, some are audited; now and then there is one more policy.
func load(t *testing.T, w *world.World) {
	t.Helper()
	const audited = "kind: SpawnPolicy\nmetadata: {name: stricter}\nspec: {enforcement: Audit, enforced: {memLimit: 1Gi}}"
	course := func(n int) string {
		return fmt.Sprintf("kind: SpawnPolicy\nmetadata: {name: course-%d}\nspec: {priority: %d, defaults: {image: 'jupyter:%d'}}", n, n, n)
	}
	ns, empty := w.Namespace(t), w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course(0), audited)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	started, round := time.Now(), 0
	for tick := time.NewTicker(50 * time.Millisecond); ; round++ {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		// More and more, and then none for a moment.
		if wave := int(time.Since(started).Seconds()) % 20; wave < 16 {
			launch(ctx, t, w, ns, 1+wave/5)
		}
		if round%7 == 0 {
			_, err := w.Hub.CoreV1().Pods(empty).Create(ctx, launcher.Skeleton(world.Alice, empty), metav1.CreateOptions{})
			if ctx.Err() == nil {
				require.ErrorContains(t, err, "Slipway NoPolicy")
			}
		}
		if round%200 == 199 {
			w.Put(t, ns, course(round))
		}
	}
}

// launch has n servers fitted, without keeping them.
func launch(ctx context.Context, t *testing.T, w *world.World, namespace string, n int) {
	t.Helper()
	for range n {
		_, err := w.Hub.CoreV1().Pods(namespace).Create(ctx, launcher.Skeleton(world.Alice, namespace), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			require.NoError(t, err)
		}
	}
}
