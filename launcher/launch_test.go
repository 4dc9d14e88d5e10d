package launcher_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

var alice = policy.Identity{Name: "jupyter-alice", Hub: "main", User: "alice"}

// soon bounds a test that hangs.
const soon = 20 * time.Second

// refusing is an API server that answers every create like this.
func refusing(err error) *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
	return client
}

func answer(code int32, reason metav1.StatusReason, message string, causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{Causes: causes},
	}}
}

const (
	byWebhook         = `admission webhook "mutate.slipway.dev" denied the request: `
	byAdmissionPolicy = "ValidatingAdmissionPolicy 'slipway-launchers' with binding 'slipway-launchers' denied request: " +
		"Slipway LauncherNotAllowed: only hub pods"
)

func TestLaunchTellsADenialFromOtherRefusals(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, c := range map[string]struct {
		err       error
		reasons   []policy.Denial // nil: not a denial
		retryable bool
		says      string
	}{
		"by the webhook": {
			err: answer(http.StatusForbidden, metav1.StatusReasonForbidden,
				byWebhook+"Slipway SkeletonNotBare: spec.hostPID: leave it out; ClusterSpawnPolicy base: spec.launchers: isn't listed",
				metav1.StatusCause{Type: "SkeletonNotBare", Field: "spec.hostPID", Message: "leave it out"},
				metav1.StatusCause{Type: "LauncherNotAllowed", Field: "spec.launchers", Message: "ClusterSpawnPolicy base: isn't listed"}),
			reasons: []policy.Denial{
				{Code: policy.SkeletonNotBare, Field: "spec.hostPID", Message: "leave it out"},
				{Code: policy.LauncherNotAllowed, Field: "spec.launchers", Message: "ClusterSpawnPolicy base: isn't listed"},
			},
			says: "create pod research/jupyter-alice: Slipway SkeletonNotBare: spec.hostPID: leave it out; ClusterSpawnPolicy base: spec.launchers: isn't listed",
		},
		"by the webhook, for the moment": {
			err: answer(http.StatusConflict, metav1.StatusReasonConflict, byWebhook+"Slipway PolicyChanged: try again",
				metav1.StatusCause{Type: "PolicyChanged", Message: "try again"}),
			reasons: []policy.Denial{{Code: policy.PolicyChanged, Message: "try again"}}, retryable: true,
			says: "create pod research/jupyter-alice: Slipway PolicyChanged: try again",
		},
		"by an admission policy, whose cause has no code": {
			err: answer(http.StatusForbidden, metav1.StatusReasonForbidden, `pods "jupyter-alice" is forbidden: `+byAdmissionPolicy,
				metav1.StatusCause{Message: byAdmissionPolicy}),
			reasons: []policy.Denial{{Code: policy.LauncherNotAllowed, Message: "only hub pods"}},
			says:    "create pod research/jupyter-alice: Slipway LauncherNotAllowed: only hub pods",
		},
		"quota":              {err: apierrors.NewForbidden(pods, "jupyter-alice", errors.New("exceeded quota: small")), says: "exceeded quota"},
		"RBAC":               {err: apierrors.NewForbidden(pods, "", errors.New(`User "bob" cannot create`)), says: "cannot create"},
		"no image":           {err: apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "jupyter-alice", nil), says: "is invalid"},
		"the webhook's fall": {err: answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, byWebhook+"Slipway InternalError: see the log"), says: "see the log"},
		"an old server":      {err: apierrors.NewAlreadyExists(pods, "jupyter-alice"), says: "already exists"},
	} {
		t.Run(name, func(t *testing.T) {
			pod, err := launcher.Launch(t.Context(), refusing(c.err), alice, "research", launcher.Options{})
			assert.Nil(t, pod)
			require.ErrorContains(t, err, c.says)
			require.ErrorIs(t, err, c.err, "the API server's answer can be asked for")
			denied, ok := errors.AsType[*launcher.Denied](err)
			require.Equal(t, c.reasons != nil, ok)
			if !ok {
				return
			}
			assert.Equal(t, c.says, err.Error())
			assert.Equal(t, c.reasons, denied.Reasons)
			assert.Equal(t, c.retryable, denied.Retryable())
			assert.Equal(t, c.reasons[0].Code, denied.Codes()[0])
		})
	}
}

func TestLaunchEndsWhenThePodIsAdmitted(t *testing.T) {
	client := fake.NewClientset()
	var said []string
	pod, err := launcher.Launch(t.Context(), client, alice, "research", launcher.Options{
		Progress: func(p launcher.Progress) { said = append(said, p.Message) },
	})
	require.NoError(t, err)
	assert.Equal(t, "jupyter-alice", pod.Name)
	assert.Equal(t, []string{"Asking for research/jupyter-alice", "Admitted by policy"}, said)
	require.Len(t, client.Actions(), 1, "nothing is watched")
}

func TestLaunchNeedsAName(t *testing.T) {
	_, err := launcher.Launch(t.Context(), fake.NewClientset(), policy.Identity{Hub: "main", User: "alice"}, "research", launcher.Options{})
	assert.ErrorContains(t, err, "podNameTemplate")
}

func TestLaunchAsksForADryRun(t *testing.T) {
	client := fake.NewClientset()
	_, err := launcher.Launch(t.Context(), client, alice, "research", launcher.Options{DryRun: true, Until: launcher.UntilRunning})
	require.NoError(t, err)
	create, ok := client.Actions()[0].(clienttesting.CreateActionImpl)
	require.True(t, ok)
	assert.Equal(t, []string{metav1.DryRunAll}, create.CreateOptions.DryRun)
}

// kubelet writes each status when the launcher has said what it knows.
func kubelet(t *testing.T, client *fake.Clientset, statuses ...corev1.PodStatus) func(launcher.Progress) {
	t.Helper()
	return func(p launcher.Progress) {
		if p.Pod == nil || len(statuses) == 0 {
			return
		}
		pod := p.Pod.DeepCopy()
		pod.Status, statuses = statuses[0], statuses[1:]
		pod.Spec.NodeName = "node-1"
		if len(pod.Status.Conditions) > 0 { // not scheduled
			pod.Spec.NodeName = ""
		}
		_, err := client.CoreV1().Pods(pod.Namespace).Update(t.Context(), pod, metav1.UpdateOptions{})
		assert.NoError(t, err)
	}
}

func container(s corev1.ContainerState, ready bool) []corev1.ContainerStatus {
	return []corev1.ContainerStatus{{Name: policy.NotebookContainer, State: s, Ready: ready}}
}

func waitingFor(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: container(corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
	}, false)}
}

var running = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}

func TestLaunchWaitsUntilTheServerRunsAndTellsHowFarItIs(t *testing.T) {
	client := fake.NewClientset()
	write := kubelet(t, client,
		corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available",
		}}},
		corev1.PodStatus{Phase: corev1.PodPending},
		waitingFor("ImagePullBackOff", "no such image"),
		corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: container(running, false)},
		corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: container(running, true)},
		corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: container(running, true)},
	)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var said []string
	pod, err := launcher.Launch(ctx, client, alice, "research", launcher.Options{
		Until: launcher.UntilRunning,
		Progress: func(p launcher.Progress) {
			said = append(said, p.Message)
			write(p)
		},
	})
	require.NoError(t, err)
	assert.Equal(t, "10.0.0.1", pod.Status.PodIP)
	assert.Equal(t, []string{
		"Asking for research/jupyter-alice",
		"Admitted by policy",
		"Waiting for a node: Unschedulable: 0/3 nodes are available",
		"Starting on node node-1",
		"Container notebook: ImagePullBackOff: no such image",
		"Container notebook has started",
		"Starting on node node-1", // it has no address yet
		"Running",
	}, said)
}

func TestLaunchSaysWhyAServerFailed(t *testing.T) {
	ended := func(phase corev1.PodPhase, code int32, reason string) corev1.PodStatus {
		return corev1.PodStatus{Phase: phase, ContainerStatuses: container(corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason},
		}, false)}
	}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		says   string
	}{
		"killed for memory":    {ended(corev1.PodFailed, 137, "OOMKilled"), "container notebook ended with exit code 137 (OOMKilled)"},
		"ended by itself":      {ended(corev1.PodSucceeded, 0, "Completed"), "exit code 0 (Completed)"},
		"evicted":              {corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "the node was low on memory"}, "Evicted: the node was low on memory"},
		"failed without words": {corev1.PodStatus{Phase: corev1.PodFailed}, "its phase is Failed"},
		"an impossible image":  {waitingFor("InvalidImageName", `couldn't parse "a b"`), `container notebook: InvalidImageName: couldn't parse "a b"`},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			pod, err := launcher.Launch(ctx, client, alice, "research", launcher.Options{Until: launcher.UntilRunning, Progress: kubelet(t, client, c.status)})
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "pod research/jupyter-alice")
			assert.NotNil(t, pod, "the pod tells more")
		})
	}
}

func TestLaunchEndsWhenThePodIsGone(t *testing.T) {
	for name, p := range map[string]string{"before the watch": "Admitted by policy", "while it starts": "Waiting for a node"} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			_, err := launcher.Launch(ctx, client, alice, "research", launcher.Options{Until: launcher.UntilRunning, Progress: func(now launcher.Progress) {
				if now.Message == p {
					assert.NoError(t, client.CoreV1().Pods("research").Delete(t.Context(), alice.Name, metav1.DeleteOptions{}))
				}
			}})
			require.ErrorContains(t, err, "was deleted")
			require.NoError(t, ctx.Err())
		})
	}
}

func TestLaunchSaysHowFarAServerWasWhenTimeRanOut(t *testing.T) {
	client := fake.NewClientset()
	tooLong := errors.New("the hub's start timeout of 60 s is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	write := kubelet(t, client, waitingFor("ContainerCreating", ""))
	_, err := launcher.Launch(ctx, client, alice, "research", launcher.Options{Until: launcher.UntilRunning, Progress: func(p launcher.Progress) {
		write(p)
		if p.Message == "Container notebook: ContainerCreating" {
			cancel(tooLong)
		}
	}})
	require.ErrorIs(t, err, tooLong)
	require.ErrorContains(t, err, "last seen: Container notebook: ContainerCreating")
}

func TestLaunchHasNothingToDoWithALaterPodOfTheSameName(t *testing.T) {
	client := fake.NewClientset()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err := launcher.Launch(ctx, client, alice, "research", launcher.Options{Until: launcher.UntilRunning, Progress: func(p launcher.Progress) {
		if p.Message != "Admitted by policy" {
			return
		}
		pods := client.CoreV1().Pods("research")
		assert.NoError(t, pods.Delete(t.Context(), alice.Name, metav1.DeleteOptions{}))
		later := p.Pod.DeepCopy()
		later.UID = "later"
		_, err := pods.Create(t.Context(), later, metav1.CreateOptions{})
		assert.NoError(t, err)
	}})
	require.ErrorContains(t, err, "was deleted")
}

func TestLaunchSaysEachThingOnce(t *testing.T) {
	client := fake.NewClientset()
	unscheduled := corev1.PodStatus{Phase: corev1.PodPending}
	again := unscheduled
	again.Message = "nothing that we tell"
	done := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: container(running, true)}
	var said []string
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err := launcher.Launch(ctx, client, alice, "research", launcher.Options{Until: launcher.UntilRunning, Progress: func(p launcher.Progress) {
		said = append(said, p.Message)
		if p.Message != "Waiting for a node" {
			return
		}
		for _, status := range []corev1.PodStatus{again, unscheduled, done} {
			pod := p.Pod.DeepCopy()
			pod.Status = status
			_, err := client.CoreV1().Pods("research").Update(t.Context(), pod, metav1.UpdateOptions{})
			assert.NoError(t, err)
		}
	}})
	require.NoError(t, err)
	assert.Equal(t, []string{"Asking for research/jupyter-alice", "Admitted by policy", "Waiting for a node", "Running"}, said)
}
