package launcher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// alicesPod is one that another start made.
func alicesPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "research", Name: "jupyter-alice", UID: "old",
			Labels:      map[string]string{policy.LabelHub: "main", policy.LabelUsername: policy.LabelSlug("alice")},
			Annotations: map[string]string{policy.AnnotationUsername: "alice", policy.AnnotationEnvSecret: "jupyter-alice-env-aaaaaaaa"},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: container(running, true)},
	}
}

// deaf is a cluster whose watch of pods tells nothing, as that of another replica that lags behind.
func deaf(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	client.PrependWatchReactor("pods", func(clienttesting.Action) (bool, watch.Interface, error) { return true, watch.NewFake(), nil })
	return client
}

// held has a request wait until the test lets it go on.
func held(client *fake.Clientset, verb, resource string) (arrived <-chan struct{}, goOn func()) {
	in, out := make(chan struct{}), make(chan struct{})
	first := true
	client.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		if first {
			first = false
			close(in)
			<-out
		}
		return false, nil, nil
	})
	return in, func() { close(out) }
}

func podsOf(t *testing.T, client *fake.Clientset) []corev1.Pod {
	t.Helper()
	pods, err := client.CoreV1().Pods("research").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return pods.Items
}

// begin starts alice's server, and gives the error in the end.
func begin(ctx context.Context, l *launcher.Launcher, id string) <-chan error {
	ended := make(chan error, 1)
	req := aliceOnce
	req.StartID = id
	go func() {
		_, err := l.Start(ctx, req)
		ended <- err
	}()
	return ended
}

func TestAServerThatIsStoppedBeforeItsReplicaHasHeardOfItGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := deaf()
		l := onFakes(t, client)
		started := begin(t.Context(), l, "one")
		synctest.Wait()
		require.Len(t, podsOf(t, client), 1)
		server, err := l.Stop(t.Context(), aliceOnce.Key, launcher.StopOptions{Wait: time.Minute})
		require.NoError(t, err)
		assert.Nil(t, server)
		require.ErrorContains(t, <-started, "was stopped while it started")
		assert.Empty(t, podsOf(t, client))
	})
}

func TestAServerThatIsStoppedAfterItsCallerHungUpGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := deaf()
		l := onFakes(t, client)
		synctest.Wait() // a request that is held holds the lock of the fake, for which a watch would wait
		inCreate, goOn := held(client, "create", "pods")
		ctx, hangUp := context.WithCancel(t.Context())
		started := begin(ctx, l, "one")
		<-inCreate
		hangUp()
		stopped := make(chan error, 1)
		go func() {
			_, err := l.Stop(t.Context(), aliceOnce.Key, launcher.StopOptions{Wait: time.Minute})
			stopped <- err
		}()
		synctest.Wait()
		goOn()
		require.ErrorContains(t, <-started, "was stopped while it started")
		require.NoError(t, <-stopped)
		assert.Empty(t, podsOf(t, client))
	})
}

func TestAServerOfAnotherReplicaIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := deaf()
		l := onFakes(t, client)
		synctest.Wait()
		_, err := client.CoreV1().Pods("research").Create(t.Context(), alicesPod(), metav1.CreateOptions{})
		require.NoError(t, err)
		server, err := l.Stop(t.Context(), aliceOnce.Key, launcher.StopOptions{Wait: time.Minute})
		require.NoError(t, err)
		assert.Nil(t, server)
		assert.Empty(t, podsOf(t, client))
	})
}

func TestTheLastStartOfAServerGoesOnAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		busy := apierrors.NewServiceUnavailable("stopping")
		failing(client, "pods", busy, busy, busy)
		l := onFakes(t, client)
		first, same := begin(t.Context(), l, "one"), begin(t.Context(), l, "one")
		synctest.Wait()
		second := begin(t.Context(), l, "two")
		for _, ended := range []<-chan error{first, same} {
			f, ok := errors.AsType[*launcher.Failure](<-ended)
			require.True(t, ok)
			assert.Equal(t, "the server was started anew while it started, and that start goes on", f.Message)
		}
		require.NoError(t, <-second)
		assert.Len(t, podsOf(t, client), 1)
	})
}

func TestAStartLeavesAServerAloneThatWasStartedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		failing(client, "pods", apierrors.NewTooManyRequests("busy", 30))
		l := onFakes(t, client)
		started := begin(t.Context(), l, "one")
		synctest.Wait()
		newer := alicesPod()
		newer.CreationTimestamp = metav1.NewTime(time.Now().Add(5 * time.Second)) // by another replica, meanwhile
		require.NoError(t, client.Tracker().Add(newer))
		require.ErrorContains(t, <-started, "was started anew")
		pods := podsOf(t, client)
		require.Len(t, pods, 1)
		assert.Equal(t, newer.UID, pods[0].UID)
	})
}

func TestProgressOfARestartIsThatOfTheNewPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(alicesPod())
		l := onFakes(t, client)
		synctest.Wait()
		inDelete, goOn := held(client, "delete", "pods")
		started := begin(t.Context(), l, "two")
		<-inDelete
		var steps []launcher.Step
		over := make(chan struct{})
		go func() {
			defer close(over)
			for s := range l.Progress(t.Context(), aliceOnce.Key, "") {
				steps = append(steps, s)
			}
		}()
		synctest.Wait()
		assert.NotContains(t, messagesOf(steps), "The server is ready")
		goOn()
		require.NoError(t, <-started)
		pod := podsOf(t, client)[0]
		pod.Status = alicesPod().Status
		_, err := client.CoreV1().Pods("research").UpdateStatus(t.Context(), &pod, metav1.UpdateOptions{})
		require.NoError(t, err)
		<-over
		last := steps[len(steps)-1]
		assert.Equal(t, "The server is ready", last.Message)
		assert.Equal(t, string(pod.UID), last.Server.UID)
	})
}

// Where the start comes to nothing before the old pod made way, that one is what there is.
func TestProgressOfAFailedRestartIsThatOfTheOldPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(alicesPod())
		client.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("stopping")
		})
		l := onFakes(t, client)
		synctest.Wait()
		ctx, giveUp := context.WithCancel(t.Context())
		started := begin(ctx, l, "two")
		synctest.Wait()
		go func() {
			defer giveUp()
			time.Sleep(time.Minute) //nolint:forbidigo // the clock is the test's own
		}()
		_, last := told(t, l, func(launcher.Step) {})
		require.Error(t, <-started)
		assert.Equal(t, "The server is ready", last.Message)
		assert.Equal(t, "old", last.Server.UID)
	})
}

func messagesOf(steps []launcher.Step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Message)
	}
	return all
}

func TestAPodThatBecomesAnotherUsersLeavesNoGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(alicesPod())
		l := onFakes(t, client)
		synctest.Wait()
		pod := alicesPod()
		pod.Annotations[policy.AnnotationUsername] = "bob"
		_, err := client.CoreV1().Pods("research").Update(t.Context(), pod, metav1.UpdateOptions{})
		require.NoError(t, err)
		synctest.Wait()
		_, err = l.Get(aliceOnce.Key)
		require.ErrorIs(t, err, launcher.ErrNotFound)
		_, err = l.Get(launcher.Key{Hub: "main", User: "bob"})
		require.NoError(t, err)
	})
}

// Another replica's start isn't known here, and its pod comes a moment later.
func TestProgressOfAStartPassesOverOtherStartsPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(alicesPod())
		l := onFakes(t, client)
		synctest.Wait()
		var steps []launcher.Step
		for s := range l.Progress(t.Context(), aliceOnce.Key, "two") {
			steps = append(steps, s)
		}
		assert.Equal(t, []string{"The server isn't there: no pod of it has been started"}, messagesOf(steps))
		all, _ := told(t, l, func(launcher.Step) {})
		assert.Contains(t, all, "The server is ready", "here any start's pod counts")
	})
}

// The quota's controller takes a moment to see that a pod is gone.
func TestAReplacementWaitsForTheQuotaOfThePodBefore(t *testing.T) {
	full := apierrors.NewForbidden(corev1.Resource("pods"), "jupyter-alice", errors.New("exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"))
	for name, old := range map[string][]runtime.Object{"restart": {alicesPod()}, "first start": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset(old...)
				refusals := 2
				client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
					if there, err := client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("pods"), "research", "jupyter-alice"); err == nil && there != nil || refusals == 0 {
						return false, nil, nil
					}
					refusals--
					return true, nil, full
				})
				l := onFakes(t, client)
				synctest.Wait() // its watch has begun
				err := <-begin(t.Context(), l, "two")
				if old != nil {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, "is used up")
				}
			})
		})
	}
}

func TestASecretThatIsInvalidIsNotCalledAPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		failing(client, "secrets", apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "jupyter-alice-env-x", field.ErrorList{
			field.TooLong(field.NewPath("data"), "", corev1.MaxSecretSize),
		}))
		err := <-begin(t.Context(), onFakes(t, client), "one")
		require.ErrorContains(t, err, "the Secret with the server's environment is invalid")
		assert.Empty(t, podsOf(t, client))
	})
}
