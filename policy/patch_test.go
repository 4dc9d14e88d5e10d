package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

// patched applies the patch between two pods to raw, which decodes to the first; and gives what comes out and the operations.
func patched(t require.TestingT, raw string, after *corev1.Pod) (text string, operations []string) {
	before := &corev1.Pod{}
	require.NoError(t, json.Unmarshal([]byte(raw), before))
	data, err := Patch([]byte(raw), before, after)
	require.NoError(t, err)
	patch, err := jsonpatch.DecodePatch(data)
	require.NoError(t, err, "%s", data)
	out, err := patch.Apply([]byte(raw))
	require.NoError(t, err, "%s", data)
	for _, o := range patch {
		path, err := o.Path()
		require.NoError(t, err)
		operations = append(operations, o.Kind()+" "+path)
	}
	return string(out), operations
}

// patches are changes of a raw pod, the operations that they take, and what comes out.
var patches = map[string]struct {
	raw        string
	change     func(*corev1.Pod)
	operations []string
	want       string
}{
	"nothing": {`{"spec":{"new":1e3,"containers":[{"name":"a","resources":{"limits":{"cpu":"1000m"}}}]}}`, func(*corev1.Pod) {}, nil,
		`{"spec":{"new":1e3,"containers":[{"name":"a","resources":{"limits":{"cpu":"1000m"}}}]}}`},
	"a prepended item": {`{"spec":{"containers":[{"name":"a","new":{"x":1.50}}]}}`,
		func(p *corev1.Pod) {
			p.Spec.Containers = slices.Insert(p.Spec.Containers, 0, corev1.Container{Name: "z"})
		},
		[]string{"add /spec/containers/0"},
		`{"spec":{"containers":[{"name":"z","resources":{}},{"name":"a","new":{"x":1.50}}]}}`},
	"removed items": {`{"spec":{"volumes":[{"name":"a","new":1},{"name":"b","new":2},{"name":"c","new":3}],"containers":null}}`,
		func(p *corev1.Pod) { p.Spec.Volumes = p.Spec.Volumes[1:2] },
		[]string{"remove /spec/volumes/2", "remove /spec/volumes/0"},
		`{"spec":{"volumes":[{"name":"b","new":2}],"containers":null}}`},
	"one added, one changed, one removed": {`{"spec":{"containers":[{"name":"n","env":[{"name":"A","value":"1"},{"name":"B","value":"2","new":true}]}]}}`,
		func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "0"}, {Name: "B", Value: "3"}}
		},
		[]string{"remove /spec/containers/0/env/0", "add /spec/containers/0/env/0", "replace /spec/containers/0/env/1/value"},
		`{"spec":{"containers":[{"name":"n","env":[{"name":"0"},{"name":"B","value":"3","new":true}]}]}}`},
	"items that change places": {`{"spec":{"containers":[{"name":"a","new":1},{"name":"b","new":2}]}}`,
		func(p *corev1.Pod) { slices.Reverse(p.Spec.Containers) },
		[]string{"replace /spec/containers"},
		`{"spec":{"containers":[{"name":"b","new":2},{"name":"a","new":1}]}}`},
	"of two equal names, the first goes": {`{"spec":{"containers":[{"name":"n","env":[{"name":"A","value":"1"},{"name":"A","value":"2","new":2}]}]}}`,
		func(p *corev1.Pod) { p.Spec.Containers[0].Env = p.Spec.Containers[0].Env[1:] },
		[]string{"remove /spec/containers/0/env/0"},
		`{"spec":{"containers":[{"name":"n","env":[{"name":"A","value":"2","new":2}]}]}}`},
	"a list of nameless things": {`{"spec":{"containers":null,"tolerations":[{"key":"a","new":1},{"key":"b","new":2}]}}`,
		func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: "b"}, {Key: "c"}}
		},
		[]string{"remove /spec/tolerations/0", "add /spec/tolerations/1"},
		`{"spec":{"containers":null,"tolerations":[{"key":"b","new":2},{"key":"c"}]}}`},
	"a member that our encoding always writes": {`{"spec":{"containers":[{"name":"n"}]}}`,
		func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "c"}} },
		[]string{"add /spec/containers/0/resources"},
		`{"spec":{"containers":[{"name":"n","resources":{"claims":[{"name":"c"}]}}]}}`},
	"members that our encoding leaves out": {`{"metadata":{"labels":{},"annotations":null},"spec":{"containers":[],"hostNetwork":false}}`,
		func(p *corev1.Pod) {
			p.Labels, p.Annotations = map[string]string{"l": ""}, map[string]string{"a": ""}
			p.Spec.HostNetwork, p.Spec.Containers = true, []corev1.Container{{Name: "n"}}
		},
		[]string{"replace /metadata/annotations", "add /metadata/labels/l", "add /spec/containers/0", "replace /spec/hostNetwork"},
		`{"metadata":{"labels":{"l":""},"annotations":{"a":""}},"spec":{"containers":[{"name":"n","resources":{}}],"hostNetwork":true}}`},
	"keys with a slash and a tilde": {`{"metadata":{"labels":{"a/b~c":"1","d":"2"}},"spec":{"containers":null}}`,
		func(p *corev1.Pod) { p.Labels = map[string]string{"a/b~c": "3", "e/~1": ""} },
		[]string{"replace /metadata/labels/a~1b~0c", "remove /metadata/labels/d", "add /metadata/labels/e~1~01"},
		`{"metadata":{"labels":{"a/b~c":"3","e/~1":""}},"spec":{"containers":null}}`},
	"an object that goes takes what is in it": {`{"spec":{"containers":null,"affinity":{"new":1}}}`,
		func(p *corev1.Pod) { p.Spec.Affinity = nil },
		[]string{"remove /spec/affinity"},
		`{"spec":{"containers":null}}`},
	"beside a changed field": {`{"spec":{"containers":null,"securityContext":{"fsGroup":9007199254740993,"new":9007199254740993}}}`,
		func(p *corev1.Pod) { p.Spec.SecurityContext.FSGroup = new(int64(1)) },
		[]string{"replace /spec/securityContext/fsGroup"},
		`{"spec":{"containers":null,"securityContext":{"fsGroup":1,"new":9007199254740993}}}`},
}

func TestPatchIsSmallAndLosesNothing(t *testing.T) {
	for name, c := range patches {
		t.Run(name, func(t *testing.T) {
			after := &corev1.Pod{}
			require.NoError(t, json.Unmarshal([]byte(c.raw), after))
			c.change(after)
			got, operations := patched(t, c.raw, after)
			assert.Equal(t, c.operations, operations)
			assert.JSONEq(t, c.want, got)
			assert.Equal(t, strings.Count(c.want, "9007199254740993"), strings.Count(got, "9007199254740993"), "numbers stay exact")
			assert.Equal(t, strings.Contains(c.want, "1.50"), strings.Contains(got, "1.50"), "and as they are written")
		})
	}
}

// drawPod draws a pod with a bit of everything; two draws have much in common.
func drawPod(t *rapid.T) *corev1.Pod {
	few := func(label string, from ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, len(from), rapid.ID[string]).Draw(t, label)
	}
	pod := &corev1.Pod{}
	if keys := few("labels", "a", "b/~c"); len(keys) > 0 {
		pod.Labels = map[string]string{}
		for _, k := range keys {
			pod.Labels[k] = rapid.SampledFrom([]string{"", "1"}).Draw(t, "label")
		}
	}
	for _, name := range few("volumes", "v", "w", "x") {
		v := corev1.Volume{Name: name}
		if rapid.Bool().Draw(t, "emptyDir") {
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		} else {
			v.HostPath = &corev1.HostPathVolumeSource{Path: "/"}
		}
		pod.Spec.Volumes = append(pod.Spec.Volumes, v)
	}
	for _, key := range few("tolerations", "s", "t", "u") {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: key})
	}
	if rapid.Bool().Draw(t, "security") {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: rapid.SampledFrom([]*int64{nil, new(int64(1)), new(int64(2))}).Draw(t, "group")}
	}
	for _, name := range append(few("containers", "b", "c"), NotebookContainer) {
		c := corev1.Container{Name: name, Image: rapid.SampledFrom([]string{"", "i", "j"}).Draw(t, "image"), Args: few("args", "1", "2", "3")}
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"A", "B", "C"}), 0, 4).Draw(t, "env") { // doubled ones too
			c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: rapid.SampledFrom([]string{"", "1"}).Draw(t, "value")})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	return pod
}

// namedMaps hold what somebody named, so no field can be unknown there.
var namedMaps = []string{"labels", "annotations"}

// injectUnknown puts fields that no type knows into objects of a document, and gives the paths of those that were put where list
// items have names: the others can't be found again. Some members that our encoding always writes are taken away, and others
// that it leaves out are put.
func injectUnknown(t *rapid.T, value any, path string, injected map[string]string) {
	switch v := value.(type) {
	case tree:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !slices.Contains(namedMaps, k) {
				injectUnknown(t, v[k], path+"."+k, injected)
			}
		}
		if rapid.IntRange(0, 2).Draw(t, "inject") == 0 {
			mark := fmt.Sprintf("%d.%d0", len(injected), len(injected)) // not how a float would be written again
			v["future"] = tree{"mark": json.Number(mark)}
			injected[path] = mark
		}
		if r, has := v["resources"].(tree); has && len(r) == 0 && rapid.Bool().Draw(t, "sparse") {
			delete(v, "resources")
		}
		if _, has := v["nodeSelector"]; !has && path == ".spec" {
			v["nodeSelector"] = rapid.SampledFrom([]any{nil, tree{}}).Draw(t, "empty")
		}
	case []any:
		for _, item := range v {
			if t2, ok := item.(tree); ok {
				injectUnknown(t, t2, path+itemPath(t2), injected)
			}
		}
	}
}

func itemPath(item tree) string {
	if name, ok := item["name"].(string); ok {
		return "[" + name + "]"
	}
	return "[?]"
}

// objectsOf are the paths of all objects, with how often each is there.
func objectsOf(value any, path string, into map[string]int) {
	switch v := value.(type) {
	case tree:
		into[path]++
		for k, below := range v {
			objectsOf(below, path+"."+k, into)
		}
	case []any:
		for _, item := range v {
			if t, ok := item.(tree); ok {
				objectsOf(t, path+itemPath(t), into)
			}
		}
	}
}

func TestPatchAlwaysAppliesAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawPod(t), drawPod(t)
		document, err := encodeExactly(before)
		require.NoError(t, err)
		injected := map[string]string{}
		injectUnknown(t, document, "", injected)
		raw := asJSON(document)
		got, _ := patched(t, raw, after)

		decoded := &corev1.Pod{}
		require.NoError(t, json.Unmarshal([]byte(got), decoded))
		assert.Equal(t, asJSON(after), asJSON(decoded), "what we know is as it should be")

		was, is := map[string]int{}, map[string]int{}
		objectsOf(document, "", was)
		wanted, err := encodeExactly(after)
		require.NoError(t, err)
		objectsOf(wanted, "", is)
		for path, mark := range injected {
			if was[path] == 1 && is[path] == 1 && !strings.Contains(path, "[?]") {
				assert.Contains(t, got, `"future":{"mark":`+mark+`}`, "of %s, which is still there", path)
			}
		}
	})
}

func TestPatchOfManyItemsTakesNoTimeToSpeakOf(t *testing.T) {
	const many = 20_000
	before := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: NotebookContainer}}}}
	for i := range many {
		before.Spec.Containers[0].Env = append(before.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprint(i)})
	}
	after := before.DeepCopy()
	after.Spec.Containers[0].Env = after.Spec.Containers[0].Env[1:]
	_, operations := patched(t, asJSON(before), after)
	assert.Equal(t, []string{"remove /spec/containers/0/env/0"}, operations)
}
