package admission

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// identityChanges are attempts on a server, with the path that each is refused for.
var identityChanges = map[string]struct {
	change change
	field  string
}{
	"the hub label removed":     {change{labels: map[string]any{policy.LabelHub: nil}}, "metadata.labels[slipway.dev/hub]"},
	"the hub label emptied":     {change{labels: map[string]any{policy.LabelHub: ""}}, "metadata.labels[slipway.dev/hub]"},
	"another hub":               {change{labels: map[string]any{policy.LabelHub: "other"}}, "metadata.labels[slipway.dev/hub]"},
	"the user's label changed":  {change{labels: map[string]any{policy.LabelUsername: "bob"}}, "metadata.labels[hub.jupyter.org/username]"},
	"another user":              {change{annotations: map[string]any{policy.AnnotationUsername: "bob"}}, "metadata.annotations[hub.jupyter.org/username]"},
	"the user removed":          {change{annotations: map[string]any{policy.AnnotationUsername: nil}}, "metadata.annotations[hub.jupyter.org/username]"},
	"groups added":              {change{annotations: map[string]any{policy.AnnotationGroups: `["staff"]`}}, "metadata.annotations[slipway.dev/groups]"},
	"the engine's word forged":  {change{annotations: map[string]any{policy.AnnotationApplied: "{}"}}, "metadata.annotations[slipway.dev/applied]"},
	"a key that nobody uses":    {change{labels: map[string]any{"slipway.dev/new": "x"}}, "metadata.labels[slipway.dev/new]"},
	"one beside a harmless one": {change{labels: map[string]any{"a": "b", "hub.jupyter.org/new": "x"}}, "metadata.labels[hub.jupyter.org/new]"},
}

func TestNobodyChangesWhoAServerIsFor(t *testing.T) {
	a := forTest(t)
	server := a.runningServer(t)
	a.closeGate(t)
	r := a.operator.dynamic.Resource(pods).Namespace(server.Namespace)
	for name, attempt := range identityChanges {
		for wayName, way := range ways {
			if wayName == apply && attempt.change.removes() {
				continue
			}
			t.Run(name+" by "+wayName, func(t *testing.T) {
				requireDenied(t, way(t.Context(), r, server.Name, attempt.change), policy.FieldChanged, attempt.field)
			})
			t.Run(name+" by "+wayName+" of the status", func(t *testing.T) {
				err := way(t.Context(), r, server.Name, attempt.change, "status")
				requireDenied(t, err, policy.FieldChanged, attempt.field)
			})
		}
	}
	now, err := a.Admin.CoreV1().Pods(server.Namespace).Get(t.Context(), server.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, server.Labels, now.Labels)
	assert.Equal(t, server.Annotations, now.Annotations)
}

func TestNobodyMakesARunningPodAServer(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	pod := plain("plain")
	pod.Annotations = map[string]string{"hub.jupyter.org/username": "bob"}
	_, err := a.operator.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
	r := a.operator.dynamic.Resource(pods).Namespace(ns)
	for name, c := range map[string]change{
		"the hub label added": {labels: map[string]any{policy.LabelHub: "main"}},
		"the user changed":    {annotations: map[string]any{policy.AnnotationUsername: "alice"}},
	} {
		for _, wayName := range []string{"merge patch", apply, "update"} {
			for _, subresource := range [][]string{nil, {"status"}} {
				t.Run(name+" by "+wayName+" "+strings.Join(subresource, ""), func(t *testing.T) {
					requireDenied(t, ways[wayName](t.Context(), r, "plain", c, subresource...), policy.FieldChanged, "says who a server is for")
				})
			}
		}
	}
	t.Run("what says nothing of a hub passes", func(t *testing.T) {
		for _, subresource := range [][]string{nil, {"status"}} {
			c := change{
				labels:      map[string]any{"seen-by": "pod" + strings.Join(subresource, ""), "slipway.development/x": "c"},
				annotations: map[string]any{"owner": "pod" + strings.Join(subresource, "")},
			}
			for _, wayName := range []string{"merge patch", apply, "update"} {
				assert.NoError(t, ways[wayName](t.Context(), r, "plain", c, subresource...), wayName)
			}
		}
	})
}

func TestAStatusChangesNothingThatPolicySet(t *testing.T) {
	a := forTest(t)
	server := a.runningServer(t)
	require.Contains(t, server.Annotations[policy.AnnotationApplied], `"owner"`)
	a.closeGate(t)
	r := a.operator.dynamic.Resource(pods).Namespace(server.Namespace)
	for wayName, way := range ways {
		t.Run("a label by "+wayName, func(t *testing.T) {
			err := way(t.Context(), r, server.Name, change{labels: map[string]any{"app": "database"}}, "status")
			requireDenied(t, err, policy.FieldChanged, "metadata.labels[app]")
		})
		t.Run("policy's annotation by "+wayName, func(t *testing.T) {
			err := way(t.Context(), r, server.Name, change{annotations: map[string]any{"owner": "me"}}, "status")
			requireDenied(t, err, policy.FieldChanged, "metadata.annotations[owner]")
		})
		t.Run("another annotation by "+wayName, func(t *testing.T) {
			c := change{annotations: map[string]any{"example.org/seen": "by " + wayName}}
			assert.NoError(t, way(t.Context(), r, server.Name, c, "status"))
		})
	}
}

func TestAServerRunsAndEndsWhileNoWebhookAnswers(t *testing.T) {
	a := forTest(t)
	server := a.runningServer(t)
	ofOperator := a.operator.CoreV1().Pods(server.Namespace)
	finalizer := []byte(`{"metadata":{"finalizers":["example.org/keep"]}}`)
	_, err := ofOperator.Patch(t.Context(), server.Name, types.MergePatchType, finalizer, metav1.PatchOptions{})
	require.NoError(t, err)
	a.closeGate(t)

	node := a.node(t, nil)
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: server.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	require.NoError(t, ofOperator.Bind(t.Context(), binding, metav1.CreateOptions{}))
	t.Run("kubelet writes its status", func(t *testing.T) {
		status := []byte(`{"status":{"phase":"Running","podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}`)
		pod, err := a.kubelet(node).CoreV1().Pods(server.Namespace).Patch(t.Context(), server.Name, types.StrategicMergePatchType, status, metav1.PatchOptions{}, "status")
		require.NoError(t, err)
		assert.Equal(t, corev1.PodRunning, pod.Status.Phase)
	})
	t.Run("an annotation of somebody else's", func(t *testing.T) {
		r := a.operator.dynamic.Resource(pods).Namespace(server.Namespace)
		assert.NoError(t, ways["merge patch"](t.Context(), r, server.Name, change{annotations: map[string]any{"example.org/note": "hi"}}))
	})
	t.Run("it is evicted", func(t *testing.T) {
		assert.NoError(t, ofOperator.EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: server.Name}}))
	})
	t.Run("and deleted, and its finalizer removed", func(t *testing.T) {
		require.NoError(t, ofOperator.Delete(t.Context(), server.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
		none := []byte(`{"metadata":{"finalizers":null}}`)
		_, err := ofOperator.Patch(t.Context(), server.Name, types.MergePatchType, none, metav1.PatchOptions{})
		require.NoError(t, err)
		_, err = ofOperator.Get(t.Context(), server.Name, metav1.GetOptions{})
		assert.ErrorContains(t, err, "not found")
	})
}

// node makes a node with these labels, and waits until the API server's own admission knows them: it copies them to pods.
func (a *actors) node(t *testing.T, labels map[string]string) (name string) {
	t.Helper()
	name = "node-" + strings.ToLower(t.Name())
	_, err := a.Admin.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	require.NoError(t, err)
	there := plain("there")
	there.Spec.NodeName = name
	require.NoError(t, world.Eventually(t.Context(), func() error {
		pod, err := a.Admin.CoreV1().Pods("default").Create(t.Context(), there, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && !maps.Equal(pod.Labels, labels) {
			err = fmt.Errorf("a pod on the node has labels %v", pod.Labels)
		}
		return err
	}))
	return name
}

// kubelet is the client of a node, with the rights that a node has.
func (a *actors) kubelet(node string) kubernetes.Interface {
	config := a.Cluster.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + node, Groups: []string{"system:nodes", "system:authenticated"}}
	return kubernetes.NewForConfigOrDie(config)
}
