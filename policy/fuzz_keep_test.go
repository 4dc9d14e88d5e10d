package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	sigsjson "sigs.k8s.io/json"
)

// marked reads a pod as an API server that is newer than our types would send it: in each object there is a field that nobody knows, with
// a mark of its own. It gives the marks by the objects' paths, where these are unique.
func marked(data []byte) (raw string, pod *corev1.Pod, marks map[string]string, ok bool) {
	document, err := decodeExactly(data) // a key that is there twice is there once from here on: API servers write none twice
	object, isObject := document.(tree)
	if err != nil || !isObject {
		return "", nil, nil, false
	}
	m := marker{marks: map[string]string{}, seen: map[string]int{}}
	m.mark(object, "", "")
	for path, n := range m.seen {
		if n > 1 {
			delete(m.marks, path)
		}
	}
	raw, pod = asJSON(object), &corev1.Pod{}
	if sigsjson.UnmarshalCaseSensitivePreserveInts([]byte(raw), pod) != nil {
		return "", nil, nil, false
	}
	return raw, pod, m.marks, true
}

type marker struct {
	marks map[string]string
	seen  map[string]int
}

// keyedMaps hold what somebody named, or values of no fixed form, so no field can be unknown there.
var keyedMaps = append([]string{"nodeSelector", "limits", "requests", "matchLabels", "overhead", "allocatedResources", "fieldsV1", "extra",
	"options", "attributes", "volumeAttributes", "capacity"}, namedMaps...)

// knownBy has the member by which the items of a list are the same before and after.
var knownBy = map[string]string{
	"containers": "name", "env": "name", "ephemeralContainers": "name", "imagePullSecrets": "name", "initContainers": "name",
	"resourceClaims": "name", "volumeDevices": "devicePath", "volumeMounts": "mountPath", "volumes": "name",
}

// mark goes through a document; list is the name of the member that holds the value.
func (m *marker) mark(value any, path, list string) {
	switch v := value.(type) {
	case tree:
		m.seen[path]++
		for key, below := range v {
			if !slices.Contains(keyedMaps, key) {
				m.mark(below, path+"."+key, key)
			}
		}
		mark := fmt.Sprintf("%d.%d0", len(m.marks), len(m.marks)) // not how a float would be written again
		v["future"] = tree{"mark": json.Number(mark)}
		m.marks[path] = mark
	case []any:
		for _, item := range v {
			if object, isObject := item.(tree); isObject {
				if name, _ := object[knownBy[list]].(string); name != "" { // else it can't be found again
					m.mark(item, path+"["+name+"]", "")
				}
			}
		}
	}
}

// requirePatched applies the patch from a pod to what became of it, by another library: all that we know is as it was meant, and
// whatever we don't know is still in each object that is still there.
func requirePatched(t *testing.T, raw string, before, after *corev1.Pod, marks map[string]string) {
	t.Helper()
	data, err := Patch([]byte(raw), before, after)
	require.NoError(t, err)
	patch, err := jsonpatch.DecodePatch(data)
	require.NoError(t, err, "%s", data)
	out, err := patch.Apply([]byte(raw))
	require.NoError(t, err, "%s", data)
	got := &corev1.Pod{}
	require.NoError(t, sigsjson.UnmarshalCaseSensitivePreserveInts(out, got))
	require.Equal(t, asJSON(after), asJSON(got), "by %s", data)

	wanted, err := encodeExactly(after)
	require.NoError(t, err)
	still := marker{marks: map[string]string{}, seen: map[string]int{}}
	still.mark(wanted, "", "")
	for path, mark := range marks {
		if still.seen[path] == 1 {
			require.Contains(t, string(out), `"future":{"mark":`+mark+`}`, "of %s, by %s", path, data)
		}
	}
	again, err := Patch(out, after, after)
	require.NoError(t, err)
	require.Equal(t, "[]", string(again), "what is as it should be isn't changed")
}

// FuzzPatch changes any pod into any other.
func FuzzPatch(f *testing.F) {
	f.Add([]byte(asJSON(hubPod(f))), []byte(asJSON(hubPod(f))))
	for _, c := range patches {
		f.Add([]byte(c.raw), []byte(c.want))
	}
	f.Fuzz(func(t *testing.T, before, after []byte) {
		raw, was, marks, ok := marked(before)
		is := &corev1.Pod{}
		if !ok || sigsjson.UnmarshalCaseSensitivePreserveInts(after, is) != nil {
			return
		}
		requirePatched(t, raw, was, is, marks)
	})
}

// FuzzKeptPods has the pod of a hub kept: its patch applies, nothing unknown is lost, kept once more it stays the same, and /verify
// takes it.
func FuzzKeptPods(f *testing.F) {
	for i := range blocks {
		f.Add([]byte(asJSON(hubPod(f))), []byte(asJSON(treeOf(f, "{defaults: "+blocks[i]+", enforced: "+blocks[(i+3)%len(blocks)]+"}"))), "alice")
	}
	f.Fuzz(func(t *testing.T, pod, policy []byte, user string) {
		raw, sent, marks, ok := marked(pod)
		spec, readable := specOf(policy)
		if !ok || !readable {
			return
		}
		policies := decoded(t, keeping)
		fuzzedPolicy(false, spec, &policies)
		c, in := Compile(policies), aliceIn("research")
		in.Identity.User, in.Sent = strings.ToValidUTF8(user, ""), sent
		r, err := c.Apply(in)
		require.NoError(t, err)
		requireDecision(t, &r)
		if r.Pod == nil || !r.Kept {
			return
		}
		was := &corev1.Pod{}
		require.NoError(t, sigsjson.UnmarshalCaseSensitivePreserveInts([]byte(raw), was))
		require.Equal(t, asJSON(was), asJSON(sent), "what came in stays as it is")
		requirePatched(t, raw, sent, r.Pod, marks)

		final := asStored(t, r.Pod)
		in.Sent = final
		again, err := c.Apply(in)
		require.NoError(t, err)
		require.Empty(t, again.Denials)
		require.Equal(t, asJSON(r.Pod), asJSON(again.Pod), "kept twice")
		denials, known := c.Verify(in, final)
		require.True(t, known)
		if denials = withoutOwners(denials); len(denials) > 0 {
			t.Fatalf("%v\nof %s", denials, asJSON(final))
		}
	})
}

// withoutOwners: what Owned refuses before a pod is kept.
func withoutOwners(denials []Denial) []Denial {
	var others []Denial
	for _, d := range denials {
		if d.Field != "metadata.ownerReferences" {
			others = append(others, d)
		}
	}
	return others
}
