package world

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// HubLaunches lets the tests' hub launch: every namespace needs a policy that says so.
const HubLaunches = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
`

// Put creates policies, waits until both replicas fit pods by them, and takes them away with the test. NAMESPACE in
// them stands for the test's; YAML documents may follow each other.
func (w *World) Put(t *testing.T, namespace string, manifests ...string) {
	t.Helper()
	for _, m := range manifests {
		for doc := range strings.SplitSeq(m, "\n---") {
			// It may be judged before one that came, or went, a moment ago was seen to.
			require.NoError(t, Eventually(t.Context(), func() error { return w.TryPut(t, namespace, doc) }))
		}
	}
	w.Settle(t)
}

// PutUnjudged is Put for policies that admission would refuse: what pods get then is a matter of its own, since policies can be
// older than the webhook, or become invalid by what others write.
func (w *World) PutUnjudged(t *testing.T, namespace string, manifests ...string) {
	t.Helper()
	for _, m := range manifests {
		for doc := range strings.SplitSeq(m, "\n---") {
			object := decodePolicy(t, namespace, doc)
			w.Gate.Unjudge(object.GetNamespace(), object.GetName())
		}
	}
	w.Put(t, namespace, manifests...)
}

// TryPut creates one policy and gives the API server's error.
func (w *World) TryPut(t *testing.T, namespace, manifest string) error {
	t.Helper()
	object := decodePolicy(t, namespace, manifest)
	client := w.Policies(object.GetKind(), namespace)
	_, err := client.Create(t.Context(), object, metav1.CreateOptions{})
	if err == nil {
		t.Cleanup(func() {
			_ = client.Delete(context.WithoutCancel(t.Context()), object.GetName(), metav1.DeleteOptions{}) // a test may have done so
		})
	}
	return err
}

func decodePolicy(t *testing.T, namespace, manifest string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	text := strings.ReplaceAll(manifest, "NAMESPACE", namespace)
	require.NoError(t, yaml.Unmarshal([]byte("apiVersion: slipway.dev/v1alpha1\n"+text), &object.Object))
	if object.GetKind() == "SpawnPolicy" {
		object.SetNamespace(namespace)
	}
	return object
}

// Policies is the client of a kind of policy.
func (w *World) Policies(kind, namespace string) dynamic.ResourceInterface {
	if kind == "ClusterSpawnPolicy" {
		return w.Dynamic.Resource(v1alpha1.GroupVersion.WithResource("clusterspawnpolicies"))
	}
	return w.Dynamic.Resource(v1alpha1.GroupVersion.WithResource("spawnpolicies")).Namespace(namespace)
}

// markerNamespace holds a policy of each kind that does nothing but say how far the replicas have read.
const markerNamespace = "settle"

// settling keeps tests that run at once from writing markers over each other's.
var settling sync.Mutex

// Settle waits until both replicas have seen every policy that was written before. Of one kind they see changes in
// order, so it is enough to write a marker of each kind and to wait for pods that carry both.
func (w *World) Settle(t *testing.T) {
	t.Helper()
	settling.Lock() // the next marker would take this one's place before it was seen
	defer settling.Unlock()
	number := strconv.Itoa(int(numbers.Add(1)))
	for _, kind := range []string{"ClusterSpawnPolicy", "SpawnPolicy"} {
		object := decodePolicy(t, markerNamespace, fmt.Sprintf(`
kind: %s
metadata: {name: settle}
spec:
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]
  defaults: {image: none, extraAnnotations: {seen-%s: "%s"}}
`, kind, kind, number))
		if kind == "ClusterSpawnPolicy" {
			require.NoError(t, unstructured.SetNestedStringMap(object.Object, map[string]string{"test": markerNamespace}, "spec", "namespaceSelector", "matchLabels"))
		}
		data, err := json.Marshal(object)
		require.NoError(t, err)
		_, err = w.Policies(kind, markerNamespace).Patch(t.Context(), "settle", types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: "test", Force: new(true)})
		require.NoError(t, err)
	}
	for i, r := range w.Replicas {
		require.NoError(t, Eventually(t.Context(), func() error {
			answer := r.Judge(t, w.ReviewIn(markerNamespace))
			for _, kind := range []string{"ClusterSpawnPolicy", "SpawnPolicy"} {
				if want := fmt.Sprintf(`"seen-%s":%q`, kind, number); !bytes.Contains(answer.Patch, []byte(want)) {
					return fmt.Errorf("replica %d hasn't read the last %s: %+v", i, kind, answer.Result)
				}
			}
			return nil
		}))
	}
}

// SettleNamespace waits until both replicas know a namespace.
func (w *World) SettleNamespace(t *testing.T, name string) {
	t.Helper()
	for i, r := range w.Replicas {
		require.NoError(t, Eventually(t.Context(), func() error {
			if answer := r.Judge(t, w.ReviewIn(name)); answer.Result != nil && strings.Contains(answer.Result.Message, "isn't known here yet") {
				return fmt.Errorf("replica %d doesn't know namespace %s", i, name)
			}
			return nil
		}))
	}
}

// ReviewIn is the AdmissionReview of alice's bare skeleton in a namespace: what the API server sent at the start, there.
func (w *World) ReviewIn(namespace string) []byte {
	return bytes.ReplaceAll(w.FirstReview, []byte(`"namespace":"default"`), []byte(`"namespace":"`+namespace+`"`))
}

// Judge asks one replica.
func (r *Replica) Judge(t *testing.T, review []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	body, err := r.Review(review)
	require.NoError(t, err)
	answer := admissionv1.AdmissionReview{}
	require.NoError(t, json.Unmarshal(body, &answer), "%s", body)
	require.NotNil(t, answer.Response)
	return answer.Response
}
