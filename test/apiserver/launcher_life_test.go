package apiserver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// bind and setStatus are scheduler and kubelet: there is no node.
func bind(t *testing.T, w *world.World, namespace, pod string) {
	t.Helper()
	require.NoError(t, w.Admin.CoreV1().Pods(namespace).Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod}, Target: corev1.ObjectReference{Kind: "Node", Name: "node-1"},
	}, metav1.CreateOptions{}))
}

func setStatus(t *testing.T, w *world.World, namespace, name string, status corev1.PodStatus) {
	t.Helper()
	pod, err := w.Admin.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	pod.Status = status
	_, err = w.Admin.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func notebookIs(phase corev1.PodPhase, state corev1.ContainerState) corev1.PodStatus {
	s := corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{
		{Name: policy.NotebookContainer, State: state, Ready: state.Running != nil}, {Name: "database", State: state, Ready: state.Running != nil},
	}}
	if state.Running != nil {
		s.PodIP, s.PodIPs = "10.1.2.3", []corev1.PodIP{{IP: "10.1.2.3"}}
	}
	return s
}

var (
	runs = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	oom  = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
)

// awaitServer waits until the watch has brought this.
func awaitServer(t *testing.T, l *launcher.Launcher, key launcher.Key, state launcher.State) *launcher.Server {
	t.Helper()
	var server *launcher.Server
	require.NoError(t, world.Eventually(t.Context(), func() (err error) {
		if server, err = l.Get(key); err == nil && server.State != state {
			err = fmt.Errorf("it is %s", server.State)
		}
		return err
	}))
	return server
}

func TestAServerIsFollowedThroughItsLife(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse, "\nkind: SpawnPolicy\nmetadata: {name: port}\nspec: {enforced: {port: 9999}}\n")
	l := aLauncher(t, w, ns)
	key := aliceStarts("").Key
	changes := l.Watch(t.Context(), "main")
	_, err := l.Get(key)
	require.ErrorIs(t, err, launcher.ErrNotFound)
	_, err = l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	change := <-changes
	assert.False(t, change.Deleted)
	assert.Equal(t, key, change.Server.Key)

	bind(t, w, ns, "jupyter-alice")
	setStatus(t, w, ns, "jupyter-alice", notebookIs(corev1.PodRunning, runs))
	server := awaitServer(t, l, key, launcher.Running)
	assert.Equal(t, "http://10.1.2.3:9999", server.URL)
	assert.Empty(t, server.Message)
	assert.Nil(t, server.ExitCode)

	setStatus(t, w, ns, "jupyter-alice", notebookIs(corev1.PodRunning, oom))
	server = awaitServer(t, l, key, launcher.Stopped)
	assert.Equal(t, int32(137), *server.ExitCode)
	assert.Equal(t, "The server used more memory than its limit of 4Gi and was killed", server.Message)

	hour := time.Hour
	server, err = l.Stop(t.Context(), key, launcher.StopOptions{GracePeriod: &hour})
	require.NoError(t, err)
	require.NotNil(t, server)
	assert.Equal(t, launcher.Stopping, server.State)
	awaitServer(t, l, key, launcher.Stopping)
	now := time.Duration(0)
	server, err = l.Stop(t.Context(), key, launcher.StopOptions{GracePeriod: &now, Wait: world.Soon})
	require.NoError(t, err)
	assert.Nil(t, server)
	_, err = l.Get(key)
	require.ErrorIs(t, err, launcher.ErrNotFound)
	for !change.Deleted {
		change = <-changes
	}
	assert.Equal(t, key, change.Server.Key)
	server, err = l.Stop(t.Context(), key, launcher.StopOptions{Wait: world.Soon})
	require.NoError(t, err)
	assert.Nil(t, server, "what is gone can be stopped once more")
}

func TestALauncherThatStartsFindsTheServersThatAreThere(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l := aLauncher(t, w, ns)
	for _, name := range []string{"", "lab"} {
		req := aliceStarts("one")
		req.Name = name
		_, err := l.Start(t.Context(), req)
		require.NoError(t, err)
	}
	assert.Equal(t, l.List("main"), aLauncher(t, w, ns).List("main"))
	assert.Len(t, l.List("main"), 2)
	other := aLauncher(t, w, ns, func(c *launcher.Config) { c.Hubs = []string{"other"} })
	assert.Empty(t, other.List("main"), "another hub's aren't even read")
	_, err := other.Get(aliceStarts("").Key)
	require.ErrorContains(t, err, `hub "main" isn't one that this launcher serves`)
}

func TestProgressTellsTheEventsOfThePodAndHowItEnds(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l := aLauncher(t, w, ns)
	server, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	event := func(name, kind, uid, message string) {
		_, err := w.Admin.CoreV1().Events(ns).Create(t.Context(), &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.EventTypeNormal, Message: message, LastTimestamp: metav1.NewTime(time.Unix(1e9, 0)),
			InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: ns, Name: server.Pod, UID: types.UID(uid)},
		}, metav1.CreateOptions{})
		assert.NoError(t, err)
	}
	event("other", "Pod", "another", "of the last run")
	event("claim", "PersistentVolumeClaim", server.UID, "of another kind")
	event("first", "Pod", server.UID, "Scheduled")
	ctx, cancel := context.WithTimeout(t.Context(), world.Soon)
	defer cancel()
	var said []string
	var percents []int
	var last launcher.Step
	for step := range l.Progress(ctx, server.Key, "") {
		said = append(said, step.Message)
		last = step
		if step.Event != nil {
			percents = append(percents, step.Progress)
		}
		switch step.Message {
		case "2001-09-09T01:46:40Z [Normal] Scheduled":
			assert.Contains(t, string(step.Event), `"message":"Scheduled"`)
			event("second", "Pod", server.UID, "Pulling image")
		case "2001-09-09T01:46:40Z [Normal] Pulling image":
			bind(t, w, ns, server.Pod)
			setStatus(t, w, ns, server.Pod, notebookIs(corev1.PodRunning, runs))
		}
	}
	require.True(t, last.Done, "%v", said)
	assert.Equal(t, launcher.Running, last.Server.State)
	assert.Equal(t, "Policy admitted pod jupyter-alice in namespace "+ns, said[0])
	assert.Equal(t, "The server is ready", said[len(said)-1])
	assert.Equal(t, 100, last.Progress)
	assert.NotContains(t, strings.Join(said, "\n"), "of the last run")
	assert.NotContains(t, strings.Join(said, "\n"), "of another kind")
	// The companion controller may have told something too.
	kubeSpawners := []int{30, 50, 63, 72, 78, 82, 84, 86, 87, 88, 88, 89}
	require.GreaterOrEqual(t, len(percents), 2)
	assert.Equal(t, kubeSpawners[:len(percents)], percents)

	setStatus(t, w, ns, server.Pod, notebookIs(corev1.PodFailed, oom))
	awaitServer(t, l, server.Key, launcher.Stopped)
	for step := range l.Progress(ctx, server.Key, "") {
		last = step
	}
	assert.Equal(t, launcher.Stopped, last.Server.State)
	assert.Contains(t, last.Message, "used more memory than its limit of 4Gi")
}

func TestProgressEndsWhenTheServerIsStopped(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l := aLauncher(t, w, ns)
	server, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), world.Soon)
	defer cancel()
	var last launcher.Step
	for step := range l.Progress(ctx, server.Key, "") {
		if last = step; step.Progress == 0 {
			_, err := l.Stop(ctx, server.Key, launcher.StopOptions{})
			assert.NoError(t, err)
		}
	}
	assert.True(t, last.Done)
	assert.Nil(t, last.Server)
	assert.Equal(t, "The server was stopped while it started", last.Message)
}
