package webhook

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

// keeper keeps the pods of the hub and changes of them what spec says, in YAML's flow form.
func keeper(t testing.TB, spec string) *mutator {
	t.Helper()
	return mutatorBy(t, `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: keep}
spec:
  skeleton: Keep
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]
---
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: more}
spec: `+spec)
}

// mutatorBy fits pods by these policies, which must be valid.
func mutatorBy(t testing.TB, text string) *mutator {
	t.Helper()
	decoded, err := policy.Decode("policies.yaml", []byte(text))
	require.NoError(t, err)
	p := &policies{}
	p.current.Store(&policySet{compiled: policy.Compile(decoded)})
	require.Empty(t, p.current.Load().compiled.Errors())
	return &mutator{decider{engine: p, namespaces: research{}, claims: noClaims{}, log: logr.Discard()}}
}

// newer is the review of a hub's pod by an API server that is newer than our types: wherever a field may stand, one does
// that nobody here knows.
func newer(t testing.TB) admission.Request {
	t.Helper()
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, readReviewFile(t)))
	text := compact.String()
	for old, more := range map[string]string{
		`"containers":[{`: `"initContainers":[{"name":"prepare","image":"busybox","future":{"in":"an init container"}}],
			"containers":[{"name":"side","image":"envoy","future":{"in":"a container that goes"}},{"image":"hub","env":[{"name":"A","value":"1","future":{"in":"a variable"}}],"future":{"in":"the notebook"},`,
		`"spec":{`:                   `"spec":{"future":{"in":"the pod","number":1.50},`,
		`"volumes":[{`:               `"volumes":[{"name":"old","emptyDir":{},"future":{"in":"a volume that goes"}},{"future":{"in":"a volume"},`,
		`"serviceAccountToken":{`:    `"serviceAccountToken":{"future":{"in":"a token"},`,
		`"mountPath":"/var`:          `"future":{"in":"a mount"},"mountPath":"/var`,
		`"securityContext":{}`:       `"securityContext":{"future":{"in":"a security context"}}`,
		`"tolerationSeconds":300},{`: `"tolerationSeconds":300},{"future":{"in":"a toleration"},`,
	} {
		require.Equal(t, 1, strings.Count(text, old), old)
		text = strings.Replace(text, old, more, 1)
	}
	review := admissionv1.AdmissionReview{}
	require.NoError(t, json.Unmarshal([]byte(text), &review))
	return admission.Request{AdmissionRequest: *review.Request}
}

func TestMutateKeepsTheFieldsThatNobodyKnows(t *testing.T) {
	const forces = `{enforced: {image: good, uid: 7, fsGid: 7, environment: {A: "2", B: "3"}, initContainers: {first: {image: x}}, nodeSelector: {a: b},
		volumes: {old: {emptyDir: {medium: Memory}}, more: {emptyDir: {}}}, volumeMounts: {more: {mountPath: /more}}, tolerations: {mine: {key: mine}},
		extraContainers: {mesh: {image: x}}, unset: ["extraContainers[side]"]}}`
	req := newer(t)
	response := keeper(t, forces).Handle(t.Context(), req)
	require.True(t, response.Allowed, "%+v", response.Result)
	patch, err := jsonpatch.DecodePatch(response.Patch)
	require.NoError(t, err)
	got, err := patch.Apply(req.Object.Raw)
	require.NoError(t, err)

	for _, place := range []string{"an init container", "a variable", "the notebook", "a volume", "a token", "a mount", "a security context", "a toleration"} {
		assert.Contains(t, string(got), `"future":{"in":"`+place+`"}`)
	}
	assert.Contains(t, string(got), `"future":{"in":"the pod","number":1.50}`, "byte for byte")
	assert.NotContains(t, string(got), "a container that goes")
	pod := &corev1.Pod{}
	require.NoError(t, json.Unmarshal(got, pod))
	assert.Equal(t, "first", pod.Spec.InitContainers[0].Name)
	assert.Equal(t, []string{"notebook", "mesh"}, []string{pod.Spec.Containers[0].Name, pod.Spec.Containers[1].Name})
	assert.Equal(t, "good", pod.Spec.Containers[0].Image)
	assert.Equal(t, []corev1.EnvVar{{Name: "A", Value: "2"}, {Name: "B", Value: "3"}}, pod.Spec.Containers[0].Env[:2])
	assert.NotContains(t, string(response.Patch), "future", "they aren't even touched")
}

func TestMutateOnlyAddsWhoWasAskedWherePolicySaysNothing(t *testing.T) {
	response := keeper(t, "{}").Handle(t.Context(), newer(t))
	require.True(t, response.Allowed, "%+v", response.Result)
	var operations []struct{ Op, Path string }
	require.NoError(t, json.Unmarshal(response.Patch, &operations))
	assert.Equal(t, []struct{ Op, Path string }{{"add", "/metadata/annotations/slipway.dev~1applied"}}, operations)
	assert.Equal(t, outcome{result: resultFitted}, outcomeOf(&response))
	assert.Empty(t, response.Warnings)
}

func TestMutateRefusesInKeepWhatNoModeAdmits(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"metadata.finalizers":   func(p *corev1.Pod) { p.Finalizers = []string{"example.org/keep"} },
		"metadata.generateName": func(p *corev1.Pod) { p.GenerateName = "x" },
		"spec.containers":       func(p *corev1.Pod) { p.Spec.Containers[0].Name = "shell" },
	} {
		t.Run(name, func(t *testing.T) {
			response := keeper(t, "{}").Handle(t.Context(), request(t, change))
			require.False(t, response.Allowed)
			require.Len(t, response.Result.Details.Causes, 1)
			assert.Equal(t, name, response.Result.Details.Causes[0].Field)
		})
	}
}

func BenchmarkHandleKeep(b *testing.B) {
	benchmarkEndpoint(b, keeper(b, "{enforced: {allowPrivilegeEscalation: false, nodeSelector: {pool: users}}}"), nil, outcome{result: resultFitted})
}
