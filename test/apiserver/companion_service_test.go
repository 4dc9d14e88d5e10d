package apiserver

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

const served = `
kind: SpawnPolicy
metadata: {name: served}
spec:
  defaults: {image: "quay.io/jupyter/minimal-notebook:2026-01-05", servicesEnabled: true, port: 9999, extraLabels: {course: data101}, extraAnnotations: {note: x}}
`

// awaitService waits for a pod's Service that isn't an earlier one.
func (c *companionTest) awaitService(t *testing.T, pod *corev1.Pod, not types.UID) *corev1.Service {
	t.Helper()
	var service *corev1.Service
	require.NoError(t, world.Eventually(t.Context(), func() error {
		var err error
		service, err = c.Admin.CoreV1().Services(c.namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if service.UID == not || len(service.OwnerReferences) != 1 || service.OwnerReferences[0].UID != pod.UID {
			return errors.New("it isn't this pod's")
		}
		return nil
	}))
	return service
}

func TestAServerHasAServiceWherePolicySaysSo(t *testing.T) {
	c := newCompanionTest(t, served)
	pod := c.launch(t)
	service := c.awaitService(t, pod, "")
	assert.Equal(t, []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 9999, TargetPort: intstr.FromInt32(9999)}}, service.Spec.Ports)
	assert.Equal(t, corev1.ServiceTypeClusterIP, service.Spec.Type)
	assert.True(t, labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)))
	assert.Equal(t, "alice", service.Spec.Selector[policy.LabelUsername])
	assert.Equal(t, "data101", service.Spec.Selector["course"])
	assert.Equal(t, "data101", service.Labels["course"])
	assert.Equal(t, "x", service.Annotations["note"])
	assert.Equal(t, []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}}, service.OwnerReferences)

	t.Run("again, if it is deleted", func(t *testing.T) {
		require.NoError(t, c.Admin.CoreV1().Services(c.namespace).Delete(t.Context(), service.Name, metav1.DeleteOptions{}))
		service = c.awaitService(t, pod, service.UID)
	})
	t.Run("a new one for the next server", func(t *testing.T) { // garbage collection doesn't run here
		c.Remove(t, pod)
		next := c.launch(t)
		c.awaitService(t, next, service.UID)
	})
}

func TestAServiceThatIsNoServersIsLeftAlone(t *testing.T) {
	for name, own := range map[string]map[string]string{"unlabelled": nil, "with the hub label": {policy.LabelHub: "main"}} {
		t.Run(name, func(t *testing.T) {
			c := newCompanionTest(t, served)
			planted, err := c.Admin.CoreV1().Services(c.namespace).Create(t.Context(), &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: "jupyter-alice", Labels: own}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			c.launch(t)
			assert.Equal(t, "Service jupyter-alice isn't made: there is another one of that name, which is no server's; delete or rename it",
				c.awaitEvent(t, "Pod", "jupyter-alice", "ServiceNotMade"))
			service, err := c.Admin.CoreV1().Services(c.namespace).Get(t.Context(), planted.Name, metav1.GetOptions{})
			require.NoError(t, err)
			assert.Equal(t, planted.UID, service.UID)
		})
	}
}
