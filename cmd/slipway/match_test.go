package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// podTree is a pod as the matcher sees it.
func podTree(t *testing.T, text string) map[string]any {
	t.Helper()
	var pod corev1.Pod
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &pod))
	tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&pod)
	require.NoError(t, err)
	delete(tree, "status")
	return tree
}

const matched = `
metadata: {name: a, labels: {x: "1"}}
spec:
  hostIPC: true
  securityContext: {runAsNonRoot: false}
  volumes: [{name: tmp, emptyDir: {}}, {name: s, secret: {secretName: s}}]
  tolerations: [{key: a}, {key: b, operator: Exists}]
  containers:
  - name: c
    args: [a, b]
    ports: [{containerPort: 53, protocol: TCP, name: t}, {containerPort: 53, protocol: UDP, name: u}]
    resources: {limits: {memory: 1Gi, cpu: "1"}}
    env: [{name: A, value: a}, {name: EMPTY}]
    livenessProbe: {httpGet: {port: 80}}
  - {name: d}
`

func TestPartsOfAPod(t *testing.T) {
	for want, differs := range map[string][]string{
		// Maps and lists of things contain.
		`spec: {containers: [{name: d}, {name: c, env: [{name: A}]}]}`: nil,
		`metadata: {labels: {}}`:                   nil,
		`metadata: {labels: {z: "1"}}`:             {"metadata.labels[z] 1 <nil>"},
		`spec: {containers: [{name: c, env: []}]}`: {"spec.containers[c].env [] [map[name:A value:a] map[name:EMPTY]]"},
		`spec: {containers: [{name: d, env: []}]}`: nil,
		`spec: {initContainers: []}`:               nil,
		`spec: {volumes: [{name: none}]}`:          {"spec.volumes[none] map[name:none] <nil>"},
		// Values are as Kubernetes reads them.
		`spec: {containers: [{name: c, resources: {limits: {memory: 1024Mi, cpu: 1000m}}}]}`: nil,
		`spec: {containers: [{name: c, livenessProbe: {httpGet: {port: 80}}}]}`:              nil,
		`spec: {containers: [{name: c, livenessProbe: {httpGet: {port: "80"}}}]}`:            {"spec.containers[c].livenessProbe.httpGet.port 80 80"},
		`spec: {containers: [{name: c, env: [{name: EMPTY, value: ""}]}]}`:                   nil,
		// What isn't written is false, unless Kubernetes tells the two apart.
		`spec: {hostNetwork: false, hostIPC: true}`:     nil,
		`spec: {hostNetwork: true}`:                     {"spec.hostNetwork true <nil>"},
		`spec: {hostIPC: false}`:                        {"spec.hostIPC false true"},
		`spec: {securityContext: {runAsNonRoot: true}}`: {"spec.securityContext.runAsNonRoot true false"},
		`spec: {automountServiceAccountToken: false}`:   {"spec.automountServiceAccountToken false <nil>"},
		`spec: {volumes: [{name: tmp, emptyDir: {}}]}`:  nil,
		`spec: {volumes: [{name: s, emptyDir: {}}]}`:    {"spec.volumes[s].emptyDir map[] <nil>"},
		// Other lists are wholes.
		`spec: {containers: [{name: c, args: [a]}]}`:                         {"spec.containers[c].args [a] [a b]"},
		`spec: {containers: [{name: c, args: [a, c]}]}`:                      {"spec.containers[c].args[1] c b"},
		`spec: {tolerations: [{key: a}, {key: b, operator: Exists}]}`:        nil,
		`spec: {tolerations: [{key: a}, {key: b}]}`:                          {"spec.tolerations[1] map[key:b] map[key:b operator:Exists]"},
		`spec: {containers: [{name: d, args: []}, {name: c, args: [a, b]}]}`: nil,
		// One number, two ports.
		`spec: {containers: [{name: c, ports: [{containerPort: 53, protocol: UDP}]}]}`:                                        nil,
		`spec: {containers: [{name: c, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: TCP}]}]}`:    nil,
		`spec: {containers: [{name: c, ports: [{containerPort: 53}, {containerPort: 53}, {containerPort: 53}]}]}`:             {"spec.containers[c].ports[53] map[containerPort:53] <nil>"},
		`spec: {containers: [{name: c, ports: [{containerPort: 53, name: u}, {containerPort: 53, name: t, protocol: UDP}]}]}`: {"spec.containers[c].ports[53].protocol UDP TCP"},
	} {
		var part map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(want), &part))
		require.Empty(t, checkPart("pod", part, &corev1.Pod{}), want)
		assert.Equal(t, differs, written(differences(part, podTree(t, matched), podType, false)), want)
	}
}

func written(found []difference) []string {
	var texts []string
	for _, d := range found {
		texts = append(texts, fmt.Sprint(d.Path, " ", d.Want, " ", d.Got))
	}
	return texts
}

func TestWholePods(t *testing.T) {
	base := `{metadata: {name: a}, spec: {nodeSelector: {a: b}, containers: [{name: c, env: [{name: A}]}, {name: d}]}}`
	for have, differs := range map[string][]string{
		base: nil,
		`{metadata: {name: a}, spec: {nodeSelector: {a: b, c: d}, containers: [{name: c, env: [{name: A}]}, {name: d}]}}`:                {"spec.nodeSelector[c] <nil> d"},
		`{metadata: {name: a}, spec: {nodeSelector: {a: b}, hostPID: true, containers: [{name: c, env: [{name: A}]}, {name: d}]}}`:       {"spec.hostPID <nil> true"},
		`{metadata: {name: a}, spec: {nodeSelector: {a: b}, containers: [{name: c}, {name: d}]}}`:                                        {"spec.containers[c].env [map[name:A]] <nil>"},
		`{metadata: {name: a}, spec: {nodeSelector: {a: b}, containers: [{name: d}, {name: c, env: [{name: A}]}]}}`:                      {"spec.containers in this order: c, d in this order: d, c"},
		`{metadata: {name: a}, spec: {nodeSelector: {a: b}, containers: [{name: c, env: [{name: A}, {name: B, value: b}]}, {name: d}]}}`: {"spec.containers[c].env[B] <nil> map[name:B value:b]"},
	} {
		assert.Equal(t, differs, written(differences(podTree(t, base), podTree(t, have), podType, true)), have)
	}
}

func TestPathsWhereNothingStands(t *testing.T) {
	for text, differs := range map[string][]string{
		"spec.hostNetwork":               nil,
		"spec.hostIPC":                   {"spec.hostIPC <nil> true"},
		"metadata.labels[y]":             nil,
		"metadata.labels[x]":             {"metadata.labels[x] <nil> 1"},
		"spec.containers[e]":             nil,
		"spec.containers[d]":             {"spec.containers[d] <nil> map[name:d resources:map[]]"},
		"spec.containers[d].env":         nil,
		"spec.containers[d].env[A]":      nil,
		"spec.containers[c].env[A]":      {"spec.containers[c].env[A] <nil> map[name:A value:a]"},
		"spec.containers[e].image":       {"spec.containers[e] something to look into <nil>"},
		"spec.containers[c].args[1]":     {"spec.containers[c].args[1] <nil> b"},
		"spec.containers[c].args[2]":     nil,
		"spec.tolerations[1].operator":   {"spec.tolerations[1].operator <nil> Exists"},
		"spec.containers[d].resources":   nil,
		"spec.volumes[tmp].emptyDir":     {"spec.volumes[tmp].emptyDir <nil> map[]"},
		"spec.containers[c].ports[53]":   {"spec.containers[c].ports[53] <nil> map[containerPort:53 name:t protocol:TCP]"},
		"spec.affinity.nodeAffinity":     nil,
		"spec.securityContext.runAsUser": nil,
	} {
		e := expectation{Absent: []string{text}}
		require.Empty(t, e.check("expect"), text)
		assert.Equal(t, differs, written(e.podDifferences(podTree(t, matched))), text)
	}
}
