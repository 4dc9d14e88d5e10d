//go:build linux

package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// startOne starts a cluster that is this test's own.
func startOne(t *testing.T, o Options) *Cluster {
	t.Helper()
	o.Progress = os.Stderr
	c, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	return c
}

func clientOf(t *testing.T, c *Cluster) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	require.NoError(t, err)
	return client
}

func pod(name, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "notebook", Image: image}}},
	}
}

func TestStartTakesSecondsOnceBuiltAndIsReadyForPods(t *testing.T) {
	_, err := Build(t.Context(), os.Stderr)
	require.NoError(t, err)
	var took time.Duration
	for range 3 { // the machine may be busy with other tests for a while
		begin := time.Now()
		c := startOne(t, Options{})
		took = time.Since(begin)
		stored, err := clientOf(t, c).CoreV1().Pods("default").Create(t.Context(), pod("first", "busybox"), metav1.CreateOptions{})
		require.NoError(t, err, "there is a service account for it")
		require.Len(t, stored.Spec.Volumes, 1)
		assert.Contains(t, stored.Spec.Volumes[0].Name, "kube-api-access-", "it gets its token")
		require.NoError(t, c.Stop())
		if took < 10*time.Second {
			t.Logf("started in %s", took)
			return
		}
	}
	t.Errorf("start took %s", took)
}

func TestBarePodIsRefusedByTheAPIServer(t *testing.T) {
	c := ForTest(t)

	_, err := clientOf(t, c).CoreV1().Pods("default").Create(t.Context(), pod("bare", ""), metav1.CreateOptions{})

	require.True(t, apierrors.IsInvalid(err), "%v", err)
	assert.ErrorContains(t, err, "spec.containers[0].image: Required value")
}

func TestNamespaceIsReadyForPods(t *testing.T) {
	c := ForTest(t)
	client := clientOf(t, c)
	name := "ready-for-pods"

	require.NoError(t, c.CreateNamespace(t.Context(), name, map[string]string{"team": "a"}))

	namespace, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "a", namespace.Labels["team"])
	_, err = client.CoreV1().Pods(name).Create(t.Context(), pod("whole", "busybox"), metav1.CreateOptions{})
	require.NoError(t, err)

	require.NoError(t, c.EnsureServiceAccount(t.Context(), name, "hub"))
	require.NoError(t, c.EnsureServiceAccount(t.Context(), name, "hub"), "it is there already")
	_, err = client.CoreV1().ServiceAccounts(name).Get(t.Context(), "hub", metav1.GetOptions{})
	require.NoError(t, err)

	assert.True(t, apierrors.IsAlreadyExists(c.CreateNamespace(t.Context(), name, nil)))
	assert.True(t, apierrors.IsNotFound(c.EnsureServiceAccount(t.Context(), "no-such-namespace", "hub")))
}

func TestAccessIsControlledByRBAC(t *testing.T) {
	config := ForTest(t).Config()
	config.Impersonate.UserName = "eve"
	eve, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)

	_, err = eve.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})

	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	assert.Empty(t, ForTest(t).Config().Impersonate.UserName, "Config hands out copies")
}

func TestKubectlWorksAndSaysWhatWentWrong(t *testing.T) {
	c := ForTest(t)
	t.Setenv("HOME", t.TempDir())

	_, err := c.Kubectl(t.Context(), strings.NewReader(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}}`), "create", "-f", "-")
	require.NoError(t, err)
	out, err := c.Kubectl(t.Context(), nil, "get", "configmap", "m", "-o", "name")
	require.NoError(t, err)
	assert.Equal(t, "configmap/m\n", out)

	_, err = c.Kubectl(t.Context(), nil, "get", "configmap", "absent")
	require.ErrorContains(t, err, `configmaps "absent" not found`)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())

	left, err := os.ReadDir(os.Getenv("HOME"))
	require.NoError(t, err)
	assert.Empty(t, left, "kubectl keeps nothing in the user's home")
}

func TestSchedulerAndControllerManagerWork(t *testing.T) {
	t.Parallel()
	c := startOne(t, Options{Scheduler: true, ControllerManager: true})
	client := clientOf(t, c)
	require.NoError(t, c.CreateNamespace(t.Context(), "work", nil))

	_, err := c.Kubectl(t.Context(), nil, "create", "deployment", "web", "--image=busybox", "-n", "work")
	require.NoError(t, err)
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		pods, err := client.CoreV1().Pods("work").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		require.NoError(collect, err)
		require.Len(collect, pods.Items, 1, "the controller manager makes the pod")
		conditions := pods.Items[0].Status.Conditions
		require.NotEmpty(collect, conditions)
		assert.Equal(collect, corev1.PodReasonUnschedulable, conditions[0].Reason, "the scheduler looks for a node")
	}, time.Minute, 50*time.Millisecond)
}

func TestStopLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(*Cluster, context.CancelFunc) error{
		"by Stop": func(c *Cluster, _ context.CancelFunc) error {
			return errors.Join(c.Stop(), c.Stop())
		},
		"by the context": func(c *Cluster, cancel context.CancelFunc) error {
			cancel()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			return c.Wait(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, err := Start(ctx, Options{LogDir: logs})
			require.NoError(t, err)
			left := remainsOf(c)
			// An open watch makes an API server wait, as it comes.
			watch, err := c.client.CoreV1().Pods("").Watch(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			defer watch.Stop()

			require.NoError(t, end(c, cancel))

			requireGone(t, left)
			for _, p := range c.children {
				assert.NotEqual(t, "signal: killed", fmt.Sprint(p.err), "%s had to be forced", p.name)
			}
			assert.FileExists(t, filepath.Join(logs, "kube-apiserver.log"), "the caller's own folder stays")
			select {
			case <-watch.ResultChan(): // the API server has ended it
			case <-time.After(20 * time.Second):
				t.Error("the watch is still open")
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	logs := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := os.ErrDeadlineExceeded // any that nothing else gives
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range tick.C { // until etcd is being started
			if _, err := os.Stat(filepath.Join(logs, "etcd.log")); err == nil || ctx.Err() != nil {
				cancel(enough)
				return
			}
		}
	}()

	t.Setenv("TMPDIR", t.TempDir())
	_, err := Start(ctx, Options{LogDir: logs})

	require.ErrorIs(t, err, enough)
	requireNothingUnder(t, os.TempDir())
}

func TestFailureShowsTheEndOfTheLog(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, err := Start(t.Context(), Options{APIServerArgs: []string{"--no-such-flag"}})

	require.ErrorContains(t, err, "kube-apiserver ended by itself: exit status 1")
	require.ErrorContains(t, err, "unknown flag: --no-such-flag")
	requireNothingUnder(t, os.TempDir())
}

func TestWaitNamesTheProgramThatEndedByItself(t *testing.T) {
	t.Parallel()
	c := startOne(t, Options{})
	require.NoError(t, syscall.Kill(c.children[1].pid, syscall.SIGKILL))

	require.ErrorContains(t, c.Wait(t.Context()), "kube-apiserver ended by itself: signal: killed")
}

func TestTakenPortIsTriedAgain(t *testing.T) {
	for program, taken := range map[string]int{"etcd": 0, "kube-apiserver": 2} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			busy, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
			require.NoError(t, err)
			defer busy.Close()
			attempts := 0
			c := startOne(t, Options{ports: func(ctx context.Context, n int) ([]int, error) {
				attempts++
				ports, err := freePorts(ctx, n)
				if attempts == 1 {
					ports[taken] = busy.Addr().(*net.TCPAddr).Port
				}
				return ports, err
			}})

			assert.Equal(t, 2, attempts)
			assert.NotContains(t, c.Config().Host, busy.Addr().String())
		})
	}
}

func TestForTestGivesTheSameClusterToAll(t *testing.T) {
	assert.Same(t, ForTest(t), ForTest(t))
}
