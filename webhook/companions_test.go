package webhook

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/slipway-hub/slipway/policy"
)

// term is one in which these pods exist.
func term(t *testing.T, pods ...*corev1.Pod) *companionTerm {
	t.Helper()
	c := &companions{core: fake.NewClientset().CoreV1(), log: logr.Discard(), policiesChanged: newSignal()}
	made := c.newTerm()
	t.Cleanup(made.tasks.ShutDown)
	for _, pod := range pods {
		require.NoError(t, made.podsSeen.GetIndexer().Add(pod))
	}
	return made
}

func fittedPod(name string, claims ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, Labels: map[string]string{policy.LabelHub: "main"}, Annotations: map[string]string{policy.AnnotationApplied: "{}"},
	}}
	for _, claim := range claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: claim, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}},
		})
	}
	return pod
}

// This replica answers requests beside this, and other pods are still seen to.
func TestAPanicOverOnePodIsTriedAgain(t *testing.T) {
	made := term(t, fittedPod("a"))
	made.current = func() *policySet { panic("no check foresaw this") }
	made.tasks.Add(task{taskPod, types.NamespacedName{Namespace: "ns", Name: "a"}})
	assert.True(t, made.work(t.Context()))
	assert.Equal(t, 1, made.tasks.NumRequeues(task{taskPod, types.NamespacedName{Namespace: "ns", Name: "a"}}))
}

func TestWhatHasEndedNeedsNothing(t *testing.T) {
	pod := fittedPod("a")
	assert.True(t, needsCompanions(pod))
	pod.Status.Phase = corev1.PodFailed
	assert.False(t, needsCompanions(pod))
	pod.Status.Phase, pod.DeletionTimestamp = corev1.PodRunning, new(metav1.Now())
	assert.False(t, needsCompanions(pod))
	assert.False(t, needsCompanions(&corev1.Pod{}), "it wasn't fitted")
}

func TestTheLeaderHoldsNoMoreOfAPodThanItNeeds(t *testing.T) {
	pod := fittedPod("a", "home")
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}})
	pod.Spec.Containers = []corev1.Container{
		{Name: "side", Image: "b"}, {Name: policy.NotebookContainer, Image: "a", Env: []corev1.EnvVar{{Name: "TOKEN", Value: "secret"}}, Ports: []corev1.ContainerPort{{Name: "notebook-port", ContainerPort: 1}}},
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "side"}}
	kept, err := strippedPod(pod)
	require.NoError(t, err)
	own := kept.(*corev1.Pod)
	assert.Equal(t, []string{"home"}, claimNames(own))
	assert.Equal(t, []corev1.Container{{Name: policy.NotebookContainer, Ports: pod.Spec.Containers[1].Ports}}, own.Spec.Containers)
	assert.Len(t, own.Spec.Volumes, 1)
	assert.Equal(t, corev1.PodStatus{}, own.Status)
}

func TestAnEventIsWrittenOnceForWhatItSays(t *testing.T) {
	made := term(t)
	pod := fittedPod(strings.Repeat("long.", 50))
	for range 2 {
		require.NoError(t, made.events.pod(t.Context(), pod, reasonClaimNotMade, "one thing"))
		require.NoError(t, made.events.pod(t.Context(), pod, reasonClaimNotMade, "another"))
	}
	list, err := made.core.Events("ns").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, list.Items, 2)

	made.events = newCompanionEvents(made.core) // another leader's
	require.NoError(t, made.events.pod(t.Context(), pod, reasonClaimNotMade, "one thing"))
	list, err = made.core.Events("ns").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, list.Items, 2)
}

func TestTheReasonIsToldWithoutTheObject(t *testing.T) {
	claims := schema.GroupResource{Resource: "persistentvolumeclaims"}
	assert.Equal(t, "exceeded quota: small", reasonOf(apierrors.NewForbidden(claims, "claim-alice", errors.New("exceeded quota: small"))))
	assert.Equal(t, "no such host", reasonOf(errors.New("no such host")))
}

// A claim may be used by another's server too, as a course's is, and waits for that one as well.
func TestTheEndOfAnyServerThatUsesAClaimHasItsDeletionGoOn(t *testing.T) {
	made := term(t)
	for name, requested := range map[string]string{"claim-alice": "system:serviceaccount:jupyter:hub", "claim-carol": ""} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Annotations: map[string]string{
			policy.AnnotationUsername: strings.TrimPrefix(name, "claim-"), policy.AnnotationDeleteRequested: requested,
		}}}
		require.NoError(t, made.claimsSeen.GetIndexer().Add(claim))
	}
	pod := fittedPod("jupyter-bob", "claim-alice", "claim-carol", "claim-unknown")
	pod.Annotations[policy.AnnotationUsername] = "bob"
	made.podGone(pod)
	require.Equal(t, 1, made.tasks.Len())
	next, _ := made.tasks.Get()
	assert.Equal(t, task{taskClaim, types.NamespacedName{Namespace: "ns", Name: "claim-alice"}}, next)
}

// What somebody asks for a second time, after the Event is gone, is answered again.
func TestWhatWasToldIsToldAgainOnceItsEventIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		events := newCompanionEvents(client.CoreV1())
		told := func() int {
			require.NoError(t, events.pod(t.Context(), fittedPod("a"), reasonClaimNotMade, "why"))
			all, err := client.CoreV1().Events("ns").List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			for _, e := range all.Items {
				require.NoError(t, client.CoreV1().Events("ns").Delete(t.Context(), e.Name, metav1.DeleteOptions{}))
			}
			return len(all.Items)
		}
		assert.Equal(t, 1, told())
		assert.Equal(t, 0, told())
		time.Sleep(time.Hour) //nolint:forbidigo // on the clock of the bubble, which has nothing to wait for
		assert.Equal(t, 1, told())
	})
}
