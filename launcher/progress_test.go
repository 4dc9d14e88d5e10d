package launcher_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// unschedulableFor is what the scheduler says.
func unschedulableFor(message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
	}}}
}

// started runs a launcher in which alice's server has been started, and writes statuses of its pod.
func started(t *testing.T, client *fake.Clientset, changes ...func(*launcher.Config)) (*launcher.Launcher, func(corev1.PodStatus)) {
	t.Helper()
	l := onFakes(t, client, changes...)
	_, err := l.Start(t.Context(), aliceOnce)
	require.NoError(t, err)
	return l, func(status corev1.PodStatus) {
		pod, err := client.CoreV1().Pods("research").Get(t.Context(), "jupyter-alice", metav1.GetOptions{})
		assert.NoError(t, err)
		pod.Status = status
		pod.Spec.Containers[0].Image = "lab:1"
		pod.Spec.Volumes = []corev1.Volume{{Name: "home", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim-alice"},
		}}}
		_, err = client.CoreV1().Pods("research").Update(t.Context(), pod, metav1.UpdateOptions{})
		assert.NoError(t, err)
	}
}

// told are the messages of all steps; after each one then is called.
func told(t *testing.T, l *launcher.Launcher, then func(launcher.Step)) (all []string, last launcher.Step) {
	t.Helper()
	for step := range l.Progress(t.Context(), aliceOnce.Key, "") {
		all = append(all, step.Message)
		last = step
		then(step)
	}
	return all, last
}

func TestAHopelessStateFailsAStartAtOnceAndASlowOneGoesOn(t *testing.T) {
	oomed := corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
		Name: policy.NotebookContainer, RestartCount: 1,
		State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}},
	}}}
	synctest.Test(t, func(t *testing.T) {
		l, write := started(t, fake.NewClientset())
		noRoom := "No node has room for this server now; it starts when one has: 0/1 nodes are available: 1 Insufficient memory"
		noImage := "The image lab:1 can't be pulled: no such image"
		steps := map[string]corev1.PodStatus{
			"Waiting for a node": unschedulableFor("0/1 nodes are available: 1 Insufficient memory."), noRoom: waitingFor("ImagePullBackOff", "no such image"), noImage: oomed,
		}
		all, last := told(t, l, func(s launcher.Step) {
			if status, has := steps[s.Message]; has {
				write(status)
			}
		})
		assert.Contains(t, all, noImage)
		assert.True(t, last.Done)
		assert.Equal(t, launcher.Failed, last.Server.State)
		assert.Equal(t, "The server used more memory than its limit and was killed, and is tried again", last.Message)
		got, err := l.Get(aliceOnce.Key)
		require.NoError(t, err)
		assert.Equal(t, launcher.Pending, got.State, "a server that is killed later on is tried again, and isn't given up")
	})
}

func TestAContainersLastWordsAreToldWhereLogsMayBeRead(t *testing.T) {
	for _, may := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client := fake.NewClientset()
			l, write := started(t, client, func(c *launcher.Config) { c.PodLogs = may })
			write(corev1.PodStatus{Phase: corev1.PodFailed, InitContainerStatuses: []corev1.ContainerStatus{{
				Name: "prepare", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 4, Reason: "Error"}},
			}}})
			synctest.Wait()
			_, last := told(t, l, func(launcher.Step) {})
			want := "Container prepare ended with exit code 4"
			if may {
				want += "; its last words: fake logs"
			}
			assert.Equal(t, want, last.Message)
			asked := false
			for _, a := range client.Actions() {
				asked = asked || a.GetSubresource() == "log"
			}
			assert.Equal(t, may, asked)
		})
	}
}

func TestWhatAClaimWaitsForIsTold(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "research", Name: "claim-alice", UID: "c"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: new("fast")},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	lost := claim.DeepCopy()
	lost.Status.Phase = corev1.ClaimLost
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "research", Name: "e"}, Message: `storageclass "fast" not found.`, Type: corev1.EventTypeWarning,
		InvolvedObject: corev1.ObjectReference{Kind: "PersistentVolumeClaim", Name: "claim-alice", UID: "c"},
	}
	ofPod := func(name, uid, reason, message string, at time.Time) *corev1.Event {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "research", Name: name}, Type: corev1.EventTypeWarning, Reason: reason, Message: message,
			EventTime: metav1.NewMicroTime(at), InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "jupyter-alice", UID: types.UID(uid)},
		}
	}
	now := time.Now()
	before := ofPod("a", "0", "ClaimNotMade", "claim claim-alice can't be made: of the pod before", now.Add(time.Hour))
	scheduling := ofPod("b", "1", "FailedScheduling", `persistentvolumeclaim "claim-alice" not found`, now)
	older, younger := ofPod("y", "1", "ClaimNotMade", "claim claim-alice can't be made: older", now), ofPod("x", "1", "ClaimNotMade", "claim claim-alice can't be made: younger.", now.Add(time.Minute))
	one := corev1.ResourceList{corev1.ResourcePersistentVolumeClaims: resource.MustParse("1")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "research", Name: "small"}, Status: corev1.ResourceQuotaStatus{Hard: one, Used: one}}
	unbound := "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
	missing := `0/1 nodes are available: persistentvolumeclaim "claim-alice" not found.`
	for name, c := range map[string]struct {
		objects   []runtime.Object
		scheduler string
		says      string
	}{
		"no provisioner": {[]runtime.Object{claim, event}, unbound, `Claim claim-alice isn't bound to a volume yet, by storage class fast: storageclass "fast" not found`},
		"it takes time":  {[]runtime.Object{claim}, unbound, "Claim claim-alice isn't bound to a volume yet, by storage class fast"},
		"lost":           {[]runtime.Object{lost}, unbound, "Claim claim-alice has lost its volume: an administrator has to look at it"},
		"not made yet":   {nil, missing, "Claim claim-alice isn't there yet: Slipway makes it in a moment"},
		"quota":          {[]runtime.Object{quota, before, scheduling}, missing, "Claim claim-alice isn't there yet: quota small of namespace research has no persistentvolumeclaims left (1 of 1 used)"},
		"the controller": {[]runtime.Object{quota, younger, older, scheduling}, missing, "Claim claim-alice isn't there yet: claim claim-alice can't be made: younger"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, write := started(t, fake.NewClientset(c.objects...))
				write(unschedulableFor(c.scheduler))
				synctest.Wait()
				for step := range l.Progress(t.Context(), aliceOnce.Key, "") {
					if step.Progress < 0 {
						assert.Equal(t, c.says, step.Message)
						break
					}
				}
			})
		})
	}
}

func TestProgressOfNothingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := onFakes(t, fake.NewClientset())
		begun := time.Now()
		all, last := told(t, l, func(launcher.Step) {})
		assert.Equal(t, []string{"The server isn't there: no pod of it has been started"}, all)
		assert.True(t, last.Done)
		assert.Nil(t, last.Server)
		assert.Equal(t, 5*time.Second, time.Since(begun), "another replica may have started it a moment ago")
	})
}

func TestProgressHasWordsOfPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, write := started(t, fake.NewClientset())
		n := 0
		all, _ := told(t, l, func(s launcher.Step) {
			if s.Progress < 0 {
				n++
			}
			if n == 3 {
				write(corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: container(running, true)})
			}
		})
		assert.Equal(t, []string{
			"Policy admitted pod jupyter-alice in namespace research", "Waiting for a node",
			"Still waiting after 60 seconds: Waiting for a node", "Still waiting after 90 seconds: Waiting for a node", "The server is ready",
		}, all)
	})
}

func TestProgressDoesWithoutEventsWhereTheyCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(corev1.Resource("events"), "", errors.New("cannot list"))
		})
		l, write := started(t, client)
		write(corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: container(running, true)})
		synctest.Wait()
		_, last := told(t, l, func(launcher.Step) {})
		assert.Equal(t, launcher.Running, last.Server.State)
	})
}

// Stopping a server ends a start of it that is under way, or it would come up after it was stopped.
func TestStopEndsAStartThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("stopping")
		})
		l := onFakes(t, client)
		ended := make(chan error, 1)
		go func() {
			_, err := l.Start(t.Context(), aliceOnce)
			ended <- err
		}()
		synctest.Wait()
		_, err := l.Stop(t.Context(), aliceOnce.Key, launcher.StopOptions{})
		require.NoError(t, err)
		err = <-ended
		f, ok := errors.AsType[*launcher.Failure](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, "the server was stopped while it started", f.Message)
	})
}
