package admission

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/policy"
)

// binds are the two ways to bind a pod to a node.
var binds = map[string]func(ctx context.Context, client kubernetes.Interface, namespace string, binding *corev1.Binding) error{
	"pods/binding": func(ctx context.Context, client kubernetes.Interface, namespace string, binding *corev1.Binding) error {
		return client.CoreV1().Pods(namespace).Bind(ctx, binding, metav1.CreateOptions{})
	},
	"bindings": func(ctx context.Context, client kubernetes.Interface, namespace string, binding *corev1.Binding) error {
		return client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("bindings").Body(binding).Do(ctx).Error()
	},
}

func TestABindingCarriesNoIdentity(t *testing.T) {
	a := forTest(t)
	server := a.runningServer(t)
	a.closeGate(t)
	for name, c := range map[string]struct {
		labels, annotations map[string]string
		field               string
	}{
		"another hub":            {map[string]string{policy.LabelHub: "other"}, nil, "metadata.labels[slipway.dev/hub]"},
		"a label of a Service's": {map[string]string{"app": "database"}, nil, "metadata.labels[app]"},
		"a label beside the node's": {
			map[string]string{"topology.kubernetes.io/zone": "a", "topology.kubernetes.io/x": "b"}, nil, "metadata.labels[topology.kubernetes.io/x]",
		},
		"another user":           {nil, map[string]string{policy.AnnotationUsername: "bob"}, "metadata.annotations[hub.jupyter.org/username]"},
		"the engine's word":      {nil, map[string]string{policy.AnnotationApplied: "{}"}, "metadata.annotations[slipway.dev/applied]"},
		"one beside an innocent": {nil, map[string]string{"a": "b", policy.AnnotationGroups: "[]"}, "metadata.annotations[slipway.dev/groups]"},
	} {
		for way, bind := range binds {
			t.Run(name+" by "+way, func(t *testing.T) {
				err := bind(t.Context(), a.operator, server.Namespace, &corev1.Binding{
					ObjectMeta: metav1.ObjectMeta{Name: server.Name, Labels: c.labels, Annotations: c.annotations},
					Target:     corev1.ObjectReference{Kind: "Node", Name: "node-1"},
				})
				requireDenied(t, err, policy.FieldChanged, c.field)
			})
		}
	}
}

func TestANodeWithTopologyLabelsTakesServers(t *testing.T) {
	a := forTest(t)
	topology := map[string]string{"topology.kubernetes.io/zone": "north-1", "topology.kubernetes.io/region": "north"}
	node := a.node(t, topology)
	for way, bind := range binds {
		t.Run(way, func(t *testing.T) {
			server := a.runningServer(t)
			a.closeGate(t)
			require.NoError(t, bind(t.Context(), a.operator, server.Namespace, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Name: server.Name, Annotations: map[string]string{"scheduler.example.org/score": "7"}},
				Target:     corev1.ObjectReference{Kind: "Node", Name: node},
			}))
			bound, err := a.Admin.CoreV1().Pods(server.Namespace).Get(t.Context(), server.Name, metav1.GetOptions{})
			require.NoError(t, err)
			assert.Equal(t, node, bound.Spec.NodeName)
			assert.Equal(t, "main", bound.Labels[policy.LabelHub])
			assert.Equal(t, "7", bound.Annotations["scheduler.example.org/score"])
			if way == "pods/binding" { // the API server copies them for this one alone
				assert.Subset(t, bound.Labels, topology)
			}
		})
	}
}
