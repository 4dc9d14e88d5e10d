package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/examples"
)

// ownLayers are the layers that no policy stands behind.
var ownLayers = []string{"built-in defaults", "identity", "hub's pod"}

func TestEveryFieldOfEveryExampleSaysWhoSetIt(t *testing.T) {
	files, err := examples.Files("examples")
	require.NoError(t, err)
	fields, pods := 0, 0
	for _, file := range files {
		f, text, err := examples.Read(file)
		require.NoError(t, err)
		policies, err := policy.Decode(file, text)
		require.NoError(t, err)
		compiled := policy.Compile(policies)
		for i := range f.Tests {
			in := f.Tests[i].Input()
			in.Provenance = true
			r, err := compiled.Apply(in)
			require.NoError(t, err)
			if r.Pod == nil {
				continue
			}
			pods++
			fields += len(r.Fields)
			for _, field := range r.Fields {
				assert.True(t, isBlamed(&field), "%s, %s: %s: %+v", file, f.Tests[i].Name, field.Path, field.By)
				if by := &field.By; by.Value != "" && field.Value != "" && !strings.ContainsRune(by.Value, '{') {
					assert.Equal(t, by.Value, field.Value, "%s, %s: %s: %+v", file, f.Tests[i].Name, field.Path, field.By)
				}
			}
		}
	}
	t.Logf("%d fields of %d pods in %d files", fields, pods, len(files))
	assert.Greater(t, pods, 20)
}

func isBlamed(f *policy.Field) bool {
	return slices.Contains(ownLayers, f.By.Layer) || f.By.Layer != "" && f.By.Policy != nil && strings.HasPrefix(f.By.Path, "spec.")
}

func TestWhatTheClusterHoldsIsTheClustersWordAlone(t *testing.T) {
	p, err := policy.Decode("p", []byte(`
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: c}
spec:
  launchers: [{serviceAccount: {namespace: a, name: b}}]
  defaults: {image: i, tolerations: [{key: one}], volumes: {old: {emptyDir: {}}}}
  enforced: {initContainers: {guard: {image: guard:2}}, unset: ["environment[DEBUG]"]}
---
apiVersion: slipway.dev/v1alpha1
kind: SpawnPolicy
metadata: {name: rooms, namespace: here}
spec:
  defaults:
    initContainers: {guard: {image: guard:1, args: [skip]}, own: {image: own:1}}
    environment: {DEBUG: "1"}
    volumes: [{name: "v-{username}", hostPath: {path: /a}}, {name: w, emptyDir: {}}]
    extraContainerConfig: {stdin: true}
    extraPodConfig: {hostname: h}
`))
	require.NoError(t, err)
	r, err := policy.Compile(p).Apply(policy.Input{
		Identity: policy.Identity{Hub: "main", User: "alice"}, Namespace: policy.Namespace{Name: "here"}, Provenance: true,
	})
	require.NoError(t, err)
	require.Empty(t, r.Denials)
	by := map[string]string{}
	for _, f := range r.Fields {
		by[f.Path] = f.By.Path
		if f.Path == "spec.initContainers[guard].image" {
			assert.Empty(t, f.By.Overrode, "the namespace's guard has no part in the cluster's")
		}
	}
	for path, want := range map[string]string{
		"spec.initContainers[guard].image":    "spec.enforced.initContainers[guard].image",
		"spec.initContainers[own].image":      "spec.defaults.initContainers[own].image",
		"spec.volumes[v-alice].hostPath.path": "spec.defaults.volumes[0].hostPath.path",
		"spec.volumes[w].emptyDir":            "spec.defaults.volumes[1].emptyDir",
		"spec.tolerations[0].key":             "spec.defaults.tolerations[0].key",
		"spec.containers[notebook].stdin":     "spec.defaults.extraContainerConfig.stdin",
		"spec.hostname":                       "spec.defaults.extraPodConfig.hostname",
	} {
		assert.Equal(t, want, by[path], path)
	}
	assert.NotContains(t, by, "spec.initContainers[guard].args")
	assert.NotContains(t, by, "spec.containers[notebook].env[DEBUG].value")
}

// sentByHub is a pod as KubeSpawner sends it.
const sentByHub = `
metadata:
  name: jupyter-alice
  namespace: here
  labels: {slipway.dev/hub: main, hub.jupyter.org/username: alice, team: a}
  annotations: {hub.jupyter.org/username: alice}
spec:
  containers:
    - name: notebook
      image: hub/image:1
      env: [{name: TOKEN, value: hunter2}, {name: MEM_LIMIT, value: "1"}]
      resources: {limits: {memory: 1Gi}, requests: {memory: 1Gi}}
    - {name: proxy, image: hub/proxy:1, securityContext: {privileged: true}}
`

func TestFieldsOfAKeptPodAreTheHubsOrWhoeverChangedThem(t *testing.T) {
	p, err := policy.Decode("p", []byte(`
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: keep}
spec:
  skeleton: Keep
  launchers: [{serviceAccount: {namespace: a, name: b}}]
  defaults: {image: unused, workingDir: /work, volumes: {data: {emptyDir: {}}}, volumeMounts: {data: {mountPath: /data}}, environment: {COURSE: x}}
  enforced: {privileged: false, allowPrivilegeEscalation: false, memLimit: 512Mi, extraLabels: {team: b}}
  mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '/spec/hostname', value: 'h'}]"}]
`))
	require.NoError(t, err)
	sent := &corev1.Pod{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(sentByHub), sent))
	id, denials := policy.IdentityOf(sent)
	require.Empty(t, denials)
	r, err := policy.Compile(p).Apply(policy.Input{Identity: id, Namespace: policy.Namespace{Name: "here"}, Sent: sent, Provenance: true})
	require.NoError(t, err)
	require.Empty(t, r.Denials)
	by := map[string]string{}
	for _, f := range r.Fields {
		assert.True(t, isBlamed(&f), "%s: %+v", f.Path, f.By)
		assert.NotContains(t, f.Value, "hunter2")
		by[f.Path] = strings.TrimSuffix(f.By.Layer+" "+f.By.Path, " ")
	}
	for path, want := range map[string]string{
		"spec.containers[notebook].image":                                 "hub's pod",
		"spec.containers[notebook].env[TOKEN].value":                      "hub's pod",
		"spec.containers[notebook].env[COURSE].value":                     "cluster defaults spec.defaults.environment[COURSE]",
		"spec.containers[notebook].env[MEM_LIMIT].value":                  "cluster enforced spec.enforced.memLimit",
		"spec.containers[notebook].workingDir":                            "cluster defaults spec.defaults.workingDir",
		"spec.containers[notebook].volumeMounts[/data].name":              "cluster defaults spec.defaults.volumeMounts[data]",
		"spec.volumes[data].emptyDir":                                     "cluster defaults spec.defaults.volumes[data].emptyDir",
		"spec.containers[notebook].resources.limits[memory]":              "cluster enforced spec.enforced.memLimit",
		"spec.containers[notebook].resources.requests[memory]":            "cluster enforced spec.enforced.memLimit",
		"spec.containers[proxy].securityContext.allowPrivilegeEscalation": "cluster enforced spec.enforced.allowPrivilegeEscalation",
		"spec.hostname":         "mutation spec.mutations[0]",
		"metadata.labels[team]": "cluster enforced spec.enforced.extraLabels[team]",
		"metadata.name":         "built-in defaults",
	} {
		assert.Equal(t, want, by[path], path)
	}
}

func TestWhatDriftsFromPolicyIsToldFromWhatTheClusterAdds(t *testing.T) {
	p, err := policy.Decode("p", []byte(`
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: p}
spec:
  launchers: [{serviceAccount: {namespace: a, name: b}}]
  defaults: {image: i, extraLabels: {course: x}, nodeSelector: {pool: users}}
`))
	require.NoError(t, err)
	r, err := policy.Compile(p).Apply(policy.Input{Identity: policy.Identity{Hub: "main", User: "alice"}, Namespace: policy.Namespace{Name: "here"}})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   []policy.Difference
	}{
		"nothing":            {func(*corev1.Pod) {}, nil},
		"the scheduler":      {func(p *corev1.Pod) { p.Spec.NodeName = "n1" }, nil},
		"a network's note":   {func(p *corev1.Pod) { p.Annotations["cni.example.org/ip"] = "10.0.0.1" }, nil},
		"another image":      {func(p *corev1.Pod) { p.Spec.Containers[0].Image = "j" }, []policy.Difference{{Path: "spec.containers[notebook].image", Change: policy.FieldReplaced}}},
		"a label taken away": {func(p *corev1.Pod) { delete(p.Labels, "course") }, []policy.Difference{{Path: "metadata.labels[course]", Change: policy.FieldAdded}}},
		"a debugger": {func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d", Image: "d"}}}
		}, []policy.Difference{{Path: "spec.ephemeralContainers[d]", Change: policy.FieldRemoved}}},
	} {
		t.Run(name, func(t *testing.T) {
			live := r.Pod.DeepCopy()
			c.change(live)
			assert.Equal(t, c.want, policy.Drift(live, &r))
		})
	}

	without, err := policy.Decode("p", []byte(`
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: p}
spec: {launchers: [{serviceAccount: {namespace: a, name: b}}], defaults: {image: i, nodeSelector: {pool: users}}}
`))
	require.NoError(t, err)
	now, err := policy.Compile(without).Apply(policy.Input{Identity: policy.Identity{Hub: "main", User: "alice"}, Namespace: policy.Namespace{Name: "here"}})
	require.NoError(t, err)
	assert.Equal(t, []policy.Difference{{Path: "metadata.labels[course]", Change: policy.FieldRemoved}}, policy.Drift(r.Pod, &now), "an earlier policy gave it")
}
