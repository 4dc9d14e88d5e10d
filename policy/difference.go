package policy

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Difference is one place at which two pods differ. Values aren't in it: they may be secrets.
type Difference struct {
	// Path is in the pod (spec.containers[notebook].image), in the home claim (claim.spec.storageClassName; claim is all of it), or in another (claims[scratch].spec).
	Path   string `json:"path"`
	Change Change `json:"change"`
}

// Change says how the second pod differs from the first.
type Change string

// The changes.
const (
	FieldAdded    Change = "added"
	FieldReplaced Change = "changed"
	FieldRemoved  Change = "removed"
)

// differencesOf compares the pod and claim of now with those that would be.
//
// A pod that comes from a caller has in it what in-tree admission has filled in, and one that was built leaves that out and gets
// it again: no difference. The annotation that names the policies says nothing new.
func differencesOf(in *Input, now, would *Result) []Difference {
	before, after := compared(now.Pod), compared(would.Pod)
	sent := now.Untouched || now.Kept
	backward := (&comparison{exact: sent || !would.Kept}).pods(before, after)
	forward := (&comparison{exact: would.Kept || !sent, refilled: sent, sent: in.Surplus}).pods(after, before)
	return slices.Concat(differencesIn(forward, backward), claimDifferences("claim", now.Claim, would.Claim), moreClaimDifferences(now.MoreClaims, would.MoreClaims))
}

// differencesIn reads two comparisons of the same, each from its side. What only one side says otherwise is there on that side
// alone; what was added and removed at one place was changed, and an item that each side misses in its order has moved.
func differencesIn(forward, backward *comparison) []Difference {
	changes := map[string]Change{}
	for _, path := range forward.changed {
		if slices.Contains(backward.changed, path) && !isInSet(path) {
			changes[path] = FieldReplaced
		}
	}
	note := func(change Change, paths, missed []string) {
		for _, path := range paths {
			if _, has := changes[path]; has || slices.Contains(missed, path) && !isInSet(path) {
				changes[path] = FieldReplaced
				continue
			}
			changes[path] = change
		}
	}
	note(FieldAdded, placesOf(backward.added), backward.changed)
	note(FieldRemoved, placesOf(forward.added), forward.changed)
	differences := make([]Difference, 0, len(changes))
	for _, path := range slices.Sorted(maps.Keys(changes)) {
		differences = append(differences, Difference{path, changes[path]})
	}
	return differences
}

// isInSet: an item of a set is missed wherever it isn't, and its place says nothing.
func isInSet(path string) bool { return isSet(path[:max(0, strings.LastIndexByte(path, '['))]) }

func placesOf(additions []addition) []string {
	paths := make([]string, 0, len(additions))
	for _, a := range additions {
		paths = append(paths, a.path)
	}
	return paths
}

// compared is what of a pod is compared: without the annotation that says which policies made it.
func compared(pod *corev1.Pod) *corev1.Pod {
	own := &corev1.Pod{Spec: pod.Spec}
	own.Labels, own.Annotations = pod.Labels, withoutKey(pod.Annotations, AnnotationApplied)
	return own
}

func withoutKey(m map[string]string, key string) map[string]string {
	own := make(map[string]string, len(m))
	for k, v := range m {
		if k != key {
			own[k] = v
		}
	}
	return own
}

// claimDifferences compares two claims that have one path; either may be nil.
func claimDifferences(path string, now, would *corev1.PersistentVolumeClaim) []Difference {
	switch {
	case now == nil && would == nil:
		return nil
	case now == nil:
		return []Difference{{path, FieldAdded}}
	case would == nil:
		return []Difference{{path, FieldRemoved}}
	}
	compare := func(want, have *corev1.PersistentVolumeClaim) *comparison {
		c := &comparison{exact: true}
		if want.Name != have.Name {
			c.changed = append(c.changed, path+".metadata.name")
		}
		c.compareMap(place{path: path + ".metadata.labels"}, reflect.ValueOf(want.Labels), reflect.ValueOf(have.Labels))
		c.compareMap(place{path: path + ".metadata.annotations"}, reflect.ValueOf(want.Annotations), reflect.ValueOf(have.Annotations))
		c.compare(place{path: path + ".spec", pattern: "claim"}, reflect.ValueOf(&want.Spec).Elem(), reflect.ValueOf(&have.Spec).Elem())
		return c
	}
	return differencesIn(compare(would, now), compare(now, would))
}

// moreClaimDifferences compares claims of the setting claims, each by its key there.
func moreClaimDifferences(now, would []*corev1.PersistentVolumeClaim) []Difference {
	byKey := func(claims []*corev1.PersistentVolumeClaim) map[string]*corev1.PersistentVolumeClaim {
		keyed := make(map[string]*corev1.PersistentVolumeClaim, len(claims))
		for _, c := range claims {
			keyed[c.Labels[LabelClaim]] = c
		}
		return keyed
	}
	before, after := byKey(now), byKey(would)
	keys := union(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	var differences []Difference
	for _, key := range keys {
		differences = append(differences, claimDifferences("claims["+key+"]", before[key], after[key])...)
	}
	return differences
}
