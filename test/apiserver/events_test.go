package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// denialEvents are those that tell of a pod.
func denialEvents(t *testing.T, w *world.World, namespace, pod string) []corev1.Event {
	t.Helper()
	list, err := w.Admin.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{
		FieldSelector: "source=slipway-webhook,involvedObject.kind=Pod,involvedObject.name=" + pod,
	})
	require.NoError(t, err)
	return list.Items
}

func TestADenialIsAnEventInThePodsNamespace(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	launch := func(user string, o launcher.Options) {
		_, err := launcher.Launch(t.Context(), w.Hub, policy.Identity{Name: "jupyter-" + user, Hub: "main", User: user}, ns, o)
		world.RequireDenied(t, err, policy.NoPolicy, "")
	}
	launch("dry", launcher.Options{DryRun: true})

	var events []corev1.Event
	require.NoError(t, world.Eventually(t.Context(), func() error {
		// After a flood of denials, as another test makes one, an Event may be lost on purpose: the next is written again.
		launch("bob", launcher.Options{})
		if events = denialEvents(t, w, ns, "jupyter-bob"); len(events) == 0 {
			return errors.New("no events")
		}
		return nil
	}))
	for _, e := range events {
		assert.Equal(t, corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: "jupyter-bob"}, e.InvolvedObject)
		assert.Equal(t, corev1.EventTypeWarning, e.Type)
		assert.Equal(t, "NoPolicy", e.Reason)
		assert.Equal(t, `no policy matches hub "main" in namespace "`+ns+`" for user "bob"`, e.Message)
	}
	assert.Empty(t, denialEvents(t, w, ns, "jupyter-dry"), "a dry run leaves none")
}

func TestAFloodOfDenialsLeavesFewEventsAndCountsTheRest(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	const flood, pod = 500, "jupyter-flood"
	replica, review := w.Replicas[0], bytes.ReplaceAll(w.ReviewIn(ns), []byte("jupyter-alice"), []byte(pod))
	dropped, started := droppedEvents(t, replica), time.Now()
	for range flood {
		require.False(t, replica.Judge(t, review).Allowed)
	}
	took := time.Since(started)
	lost := 0
	require.NoError(t, world.Eventually(t.Context(), func() error {
		lost = droppedEvents(t, replica) - dropped
		if written := len(denialEvents(t, w, ns, pod)); written+lost != flood {
			return fmt.Errorf("%d events were written and %d dropped", written, lost)
		}
		return nil
	}))
	const burst, aSecond = 50, 10
	assert.GreaterOrEqual(t, lost, flood-burst-aSecond*(int(took.Seconds())+1))
	t.Logf("%d denials in %s: %d events, %d dropped", flood, took.Round(time.Millisecond), flood-lost, lost)
}

// droppedEvents reads a metric of this process, whose replicas share it.
func droppedEvents(t *testing.T, r *world.Replica) int {
	t.Helper()
	return metricOf(t, r, "slipway_events_dropped_total")
}

// metricOf reads a metric of this process, whose replicas share it; 0 where there is none yet. series is a regular expression.
func metricOf(t *testing.T, r *world.Replica, series string) int {
	t.Helper()
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", r.Metrics))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^` + series + ` ([0-9.e+]+)$`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(t, err)
	return int(n)
}
