//go:build scale

package scale

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/slipway-hub/slipway/test/fleet"
)

func sorted(took []time.Duration) []time.Duration { return slices.Sorted(slices.Values(took)) }

// ask measures what a hub asks most.
func (m *measurement) ask(t *testing.T) {
	t.Helper()
	const gets, lists = 2000, 20
	var one, all []time.Duration
	for i := range gets {
		began := time.Now()
		s, err := m.hub.Get(t.Context(), user(i*7919%*servers))
		require.NoError(t, err)
		require.NotNil(t, s)
		one = append(one, time.Since(began))
	}
	size := 0
	for range lists {
		began := time.Now()
		got, bytes, err := m.hub.List(t.Context())
		require.NoError(t, err)
		assert.Len(t, got, *servers)
		all, size = append(all, time.Since(began)), bytes
	}
	m.times("answer about one server", one)
	m.times("list of all servers", all)
	m.memory("list of all servers", int64(size))
	used, err := m.launcher.Usage()
	require.NoError(t, err)
	m.bounded("launcher's most memory, until after these", mebibytes(used.Peak), "MiB", memoryGoal)
}

// change has the status of every pod change, and measures what the launcher takes to follow.
func (m *measurement) change(t *testing.T) {
	t.Helper()
	all, _, err := m.hub.List(t.Context())
	require.NoError(t, err)
	before, err := m.launcher.Usage()
	require.NoError(t, err)
	began := time.Now()
	_, err = each(t.Context(), len(all), func(ctx context.Context, i int) error { return m.touch(ctx, &all[i]) })
	require.NoError(t, err)
	took := time.Since(began)
	// The pod that changed last isn't ready any more; the launcher has followed when it says so.
	last := all[len(all)-1]
	require.NoError(t, m.unready(t.Context(), &last))
	m.awaitUnready(t, last.User)
	after, err := m.launcher.Usage()
	require.NoError(t, err)
	m.add("changing the status of every pod", took.Seconds(), "s")
	m.add("launcher's processor time for that", (after.CPU - before.CPU).Seconds(), "s")
	m.memory("launcher's memory after that", after.RSS)
	m.bounded("launcher's most memory, until after that", mebibytes(after.Peak), "MiB", memoryGoal)
}

// touch changes something in a pod's status that means nothing to a hub, as kubelet does now and then.
func (m *measurement) touch(ctx context.Context, s *fleet.Server) error {
	return m.patch(ctx, s, corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: "test.slipway.dev/touched", Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
	}}})
}

// unready has a pod say that its notebook isn't ready.
func (m *measurement) unready(ctx context.Context, s *fleet.Server) error {
	return m.patch(ctx, s, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		Name: "notebook", Image: "x", ImageID: "x", Ready: false, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}})
}

// awaitUnready waits until the launcher says that a server doesn't run. It asks seldom enough that its answers cost next to nothing.
func (m *measurement) awaitUnready(t *testing.T, user string) {
	t.Helper()
	const every = 10 * time.Millisecond
	ctx, cancel := context.WithDeadline(t.Context(), m.deadline(t))
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, every, true, func(ctx context.Context) (bool, error) {
		s, err := m.hub.Get(ctx, user)
		return err == nil && s != nil && s.State != "Running", err
	})
	require.NoError(t, err, "the launcher hasn't followed the change of the server of %s", user)
}

func (m *measurement) patch(ctx context.Context, s *fleet.Server, status corev1.PodStatus) error {
	data, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = m.Admin.CoreV1().Pods(s.Namespace).Patch(ctx, s.Pod, types.StrategicMergePatchType, data, metav1.PatchOptions{}, "status")
	return err
}

// again stops and starts some of the servers.
func (m *measurement) again(t *testing.T) {
	t.Helper()
	const some = 100
	var starts, stops []time.Duration
	for i := range some {
		began := time.Now()
		left, err := m.hub.Stop(t.Context(), user(i), time.Minute)
		require.NoError(t, err)
		require.Nil(t, left)
		stops = append(stops, time.Since(began))
		began = time.Now()
		_, err = m.hub.Start(t.Context(), user(i), start(i, 1))
		require.NoError(t, err)
		starts = append(starts, time.Since(began))
	}
	m.times("start of one server among all", starts)
	m.times("stop of one server among all, with a second for it to end", stops)
	used, err := m.launcher.Usage()
	require.NoError(t, err)
	m.bounded("launcher's most memory, until the end", mebibytes(used.Peak), "MiB", memoryGoal)
}
