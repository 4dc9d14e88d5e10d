package webhook

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/policy"
)

func serviceOf(pod *corev1.Pod, owners ...metav1.OwnerReference) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, OwnerReferences: owners}}
}

// The informer may be behind, and a pod may have been tried often for other reasons.
func TestAServiceIsAnothersOnlyIfNoServerOwnsIt(t *testing.T) {
	pod := fittedPod("a")
	pod.UID = "now"
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "a", UID: "now"}
	earlier := owner
	earlier.UID = "before"
	for name, c := range map[string]struct {
		there       *corev1.Service
		again, told bool
	}{
		"nobody's":            {serviceOf(pod), true, true},
		"its own":             {serviceOf(pod, owner), false, false},
		"an earlier server's": {serviceOf(pod, earlier), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			made := term(t)
			_, err := made.core.Services("ns").Create(t.Context(), c.there, metav1.CreateOptions{})
			require.NoError(t, err)
			err = made.makeService(t.Context(), pod, serviceOf(pod))
			assert.Equal(t, c.again, err != nil, "%v", err)
			assert.Equal(t, c.told, len(eventsIn(t, made)) > 0)
		})
	}
}

// What one of a pod's companions waits for is nothing to the others.
func TestAClaimThatCannotBeMadeHoldsUpNothingElse(t *testing.T) {
	pod := fittedPod("a", "home", "scratch")
	client := fake.NewClientset()
	client.PrependReactor("create", "persistentvolumeclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		claim := action.(clienttesting.CreateAction).GetObject().(*corev1.PersistentVolumeClaim)
		return claim.Name == "home", nil, errors.New("the API server is busy")
	})
	made := term(t)
	made.companions.core = client.CoreV1()
	claim := func(name string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	}
	needs := policy.Companions{Claims: []*corev1.PersistentVolumeClaim{claim("home"), claim("scratch")}, Service: serviceOf(pod)}
	require.ErrorContains(t, made.makeAll(t.Context(), pod, &needs), "the API server is busy")
	_, err := made.core.PersistentVolumeClaims("ns").Get(t.Context(), "scratch", metav1.GetOptions{})
	require.NoError(t, err)
	_, err = made.core.Services("ns").Get(t.Context(), "a", metav1.GetOptions{})
	assert.NoError(t, err)
}
