package apiserver

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// computing uses each kind of expression; some of it touches what in-tree admission adds to.
const computing = `
kind: SpawnPolicy
metadata: {name: computing}
spec:
  matchConditions: [{name: staff, expression: "'staff' in groups"}]
  expressions:
    uid: int(user.annotations['uid'])
    memLimit: "profile == 'big' ? '2Gi' : '1Gi'"
    environment[COURSE]: "namespaceObject.metadata.name + '/' + options[?'size'].orValue('none')"
    extraLabels[team]: "user.annotations[?'team'].orValue('none')"
  profiles: [{slug: big, options: [{name: size, choices: [{name: s}, {name: l}]}]}]
  mutations:
  - patchType: JSONPatch
    expression: "[JSONPatch{op: 'add', path: '/spec/tolerations', value: [{'key': 'course', 'operator': 'Exists'}]}]"
  - patchType: ApplyConfiguration
    expression: >-
      Object{spec: Object.spec{
        volumes: [Object.spec.volumes{name: 'scratch', emptyDir: Object.spec.volumes.emptyDir{}}],
        containers: [Object.spec.containers{name: 'notebook',
          volumeMounts: [Object.spec.containers.volumeMounts{name: 'scratch', mountPath: '/scratch/' + user.name}]}]}}
  validations:
  - expression: "object.spec.containers.all(c, !has(c.image) || !c.image.endsWith(':forbidden'))"
    messageExpression: "'not for ' + user.name"
---
kind: ClusterSpawnPolicy
metadata: {name: cluster-NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  expressions: {"environment[SITE]": "hub.name"}
  mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '/spec/hostname', value: object.metadata.name}]"}]
`

func TestPoliciesCompute(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, computing)
	id := policy.Identity{
		Name: "jupyter-alice", Hub: "main", User: "alice", Groups: []string{"staff"}, Profile: "big", Options: map[string]string{"size": "l"},
		UserAnnotations: map[string]string{"uid": "1234", "team": "blue"},
	}
	pod, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(id, ns), metav1.CreateOptions{})
	require.NoError(t, err)
	assertComputed(t, ns, pod, "alice", "/l")
	assert.Equal(t, "2Gi", pod.Spec.Containers[0].Resources.Limits.Memory().String())

	t.Run("what an expression set doesn't change while the server runs", func(t *testing.T) {
		_, err := w.Hub.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"red"}}}`), metav1.PatchOptions{})
		world.RequireDenied(t, err, policy.FieldChanged, "metadata.labels[team]")
	})
	t.Run("a fact that is missing denies", func(t *testing.T) {
		bob := id
		bob.Name, bob.User, bob.UserAnnotations = "jupyter-bob", "bob", nil
		_, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(bob, ns), metav1.CreateOptions{})
		world.RequireDenied(t, err, policy.ExpressionFailed, "spec.expressions[uid]")
		assert.ErrorContains(t, err, "no such key: uid")
	})
	t.Run("a condition that isn't met leaves the policy out", func(t *testing.T) {
		bob := id
		bob.Name, bob.User, bob.UserAnnotations, bob.Groups, bob.Profile, bob.Options = "jupyter-bob", "bob", nil, nil, "", nil
		pod, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(bob, ns), metav1.CreateOptions{})
		require.NoError(t, err)
		w.Remove(t, pod)
		assert.Equal(t, "jupyter-bob", pod.Spec.Hostname)
		assert.Nil(t, pod.Spec.Containers[0].SecurityContext.RunAsUser)
	})
	t.Run("a container that comes later is validated too", func(t *testing.T) {
		w.Meddle(t, ns, func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "late", Image: "x:forbidden"})
		})
		carol := id
		carol.Name, carol.User = "jupyter-carol", "carol"
		_, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(carol, ns), metav1.CreateOptions{})
		world.RequireDenied(t, err, policy.ValidationFailed, "spec.validations[0].expression")
		assert.ErrorContains(t, err, "not for carol")
	})
}

func assertComputed(t *testing.T, ns string, pod *corev1.Pod, user, size string) {
	t.Helper()
	notebook := &pod.Spec.Containers[indexOf(t, pod, "notebook")]
	assert.Equal(t, int64(1234), *notebook.SecurityContext.RunAsUser)
	assert.Contains(t, notebook.Env, corev1.EnvVar{Name: "COURSE", Value: ns + size})
	assert.Contains(t, notebook.Env, corev1.EnvVar{Name: "SITE", Value: "main"})
	assert.Contains(t, notebook.VolumeMounts, corev1.VolumeMount{Name: "scratch", MountPath: "/scratch/" + user})
	assert.Equal(t, "blue", pod.Labels["team"])
	assert.Equal(t, pod.Name, pod.Spec.Hostname)
	var keys []string
	for _, toleration := range pod.Spec.Tolerations {
		keys = append(keys, toleration.Key)
	}
	assert.ElementsMatch(t, []string{"course", corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable}, keys)
}

func TestPoliciesComputeForKeptPods(t *testing.T) {
	w := world.ForTest(t)
	ns := keepNamespace(t, w, strings.ReplaceAll(strings.Replace(computing, "  profiles: [{slug: big, options: [{name: size, choices: [{name: s}, {name: l}]}]}]\n", "", 1),
		`"'staff' in groups"`, `"!('staff' in groups)"`))
	for name, c := range kubespawners {
		t.Run(name, func(t *testing.T) {
			sent := spawned(t, c)
			sent.Annotations["slipway.dev/user-annotations"] = `{"uid":"1234","team":"blue"}`
			pod := store(t, w, w.Hub, ns, sent)
			assertComputed(t, ns, pod, cmp.Or(c.User, "alice"), "/none")
			assert.Equal(t, "1Gi", pod.Spec.Containers[indexOf(t, pod, "notebook")].Resources.Limits.Memory().String())
		})
	}
}
