package policy

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Subresource is the part of a pod that an update is for; "" is the pod itself.
//
// Of all that the API server serves below a pod (pkg/registry/core/rest/storage_core.go), these two change its spec. status
// and binding change labels and annotations, which admission policies inside the API server guard; eviction deletes;
// attach, exec, log, portforward and proxy change nothing.
type Subresource string

// The subresources that change a spec.
const (
	EphemeralContainers Subresource = "ephemeralcontainers"
	Resize              Subresource = "resize"
)

// Changed says what of an update isn't allowed whatever policy says: it is judged against the pod as it was, so that a new
// policy never blocks the status, the finalizers or the labels of a running server. What a subresource is for is left to
// Allows.
func Changed(before, after *corev1.Pod, sub Subresource) []Denial {
	if !isGoverned(before) {
		return adopted(after)
	}
	var denials []Denial
	changed := func(path, why string) { denials = append(denials, denyf(FieldChanged, nil, path, "%s", why)) }
	for _, path := range changedKeys(before, after) {
		changed(path, "says who a server is for, or was set by policy: while the server exists it doesn't change")
	}
	for i := range after.OwnerReferences {
		if o := &after.OwnerReferences[i]; !slices.ContainsFunc(before.OwnerReferences, func(b metav1.OwnerReference) bool { return equality.Semantic.DeepEqual(b, *o) }) {
			changed("metadata.ownerReferences", "a server has no owner: whatever owns "+o.Kind+" "+o.Name+" could adopt and delete it")
		}
	}
	for _, path := range changedSpec(before, after, sub) {
		changed(path, "was fitted by policy and doesn't change while the server runs: stop the server and start it anew")
	}
	return denials
}

// isGoverned: the hub label is what opts in, and the annotation says that a pod was fitted, should the label be gone.
func isGoverned(pod *corev1.Pod) bool {
	_, labelled := pod.Labels[LabelHub]
	return labelled || IsFitted(pod)
}

// IsFitted says whether a pod claims to have been fitted by policy.
func IsFitted(pod *corev1.Pod) bool {
	_, fitted := pod.Annotations[AnnotationApplied]
	return fitted
}

// adopted refuses to make a server of a pod that policy has never seen.
func adopted(after *corev1.Pod) []Denial {
	var denials []Denial
	for _, keys := range []struct {
		path string
		of   map[string]string
	}{{"metadata.labels", after.Labels}, {"metadata.annotations", after.Annotations}} {
		for _, key := range slices.Sorted(maps.Keys(keys.of)) {
			if key == LabelHub || key == AnnotationApplied {
				denials = append(denials, denyf(FieldChanged, nil, keys.path+"["+key+"]",
					"can't be added to a pod that exists: policy fits out pods when they are created"))
			}
		}
	}
	return denials
}

// changedKeys are the labels and annotations of identity, ours, and those that policy gave the pod, where they differ.
func changedKeys(before, after *corev1.Pod) []string {
	applied, _ := appliedTo(before)
	var paths []string
	for _, m := range []struct {
		path          string
		before, after map[string]string
		governed      []string
	}{
		{"metadata.labels", before.Labels, after.Labels, applied.Labels},
		{"metadata.annotations", before.Annotations, after.Annotations, applied.Annotations},
	} {
		keys := map[string]bool{}
		for key := range m.before {
			keys[key] = true
		}
		for key := range m.after {
			keys[key] = true
		}
		for key := range keys {
			was, had := m.before[key]
			is, has := m.after[key]
			if (was != is || had != has) && (isOurs(key) || slices.Contains(m.governed, key)) {
				paths = append(paths, m.path+"["+key+"]")
			}
		}
	}
	slices.Sort(paths)
	return paths
}

// isOurs: keys that only policy and identity write.
func isOurs(key string) bool {
	return strings.HasPrefix(key, "slipway.dev/") || strings.HasPrefix(key, "hub.jupyter.org/")
}

// changedSpec are the paths at which two specs differ, but for what the subresource is there to change, and for gates:
// who holds a pod back may let it go, and narrow down where it goes (the API server lets nobody widen it).
func changedSpec(before, after *corev1.Pod, sub Subresource) []string {
	was, is := before.DeepCopy(), after.DeepCopy()
	if len(was.Spec.SchedulingGates) > 0 {
		is.Spec.NodeSelector, is.Spec.Affinity = was.Spec.NodeSelector, was.Spec.Affinity
	}
	was.Spec.SchedulingGates, is.Spec.SchedulingGates = nil, nil
	switch sub {
	case EphemeralContainers:
		was.Spec.EphemeralContainers, is.Spec.EphemeralContainers = nil, nil
	case Resize:
		withoutSizes(was)
		withoutSizes(is)
	}
	return differences(was, is)
}

// withoutSizes takes out what a resize may change.
func withoutSizes(pod *corev1.Pod) {
	pod.Spec.Resources = nil
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			list[i].Resources, list[i].ResizePolicy = corev1.ResourceRequirements{}, nil
		}
	}
	for i := range pod.Spec.Volumes {
		if e := pod.Spec.Volumes[i].EmptyDir; e != nil {
			e.SizeLimit = nil
		}
	}
}

// differences are the paths at which specs differ in any way.
func differences(a, b *corev1.Pod) []string {
	if equality.Semantic.DeepEqual(a.Spec, b.Spec) {
		return nil
	}
	specs := func(pod *corev1.Pod) *corev1.Pod { return &corev1.Pod{Spec: pod.Spec} }
	found := (&comparison{exact: true}).pods(specs(a), specs(b))
	paths := found.changed
	for _, add := range found.added {
		paths = append(paths, add.path)
	}
	if len(paths) == 0 {
		paths = []string{"spec"} // something that the API server could have replaced, and didn't then
	}
	return paths
}

// Allows judges what an update of a subresource asks for: the policies of today must be content with it, though not with the
// rest of the pod, which is as old as it is.
func (c *Compiled) Allows(in Input, before, after *corev1.Pod) []Denial {
	in.Caller, in.Sent, in.Surplus = "", nil, nil
	if applied, err := appliedTo(before); err == nil {
		in.Claim, in.MoreClaims = &applied.Claim, applied.Claims
	}
	x, denials, _ := c.prepare(&in)
	if len(denials) > 0 {
		return denials
	}
	if denials := x.expand(); len(denials) > 0 {
		return denials
	}
	denials = append(x.unasserted(after), x.constrain(after)...)
	// What was so before isn't this request's doing, unless it makes one wrong value of another.
	touched := differences(before, after)
	x.run = nil // the second judgement has what the first one had to spend
	old := append(x.unasserted(before), x.constrain(before)...)
	denials = slices.DeleteFunc(denials, func(d Denial) bool {
		return !concernsOneOf(d, touched) && slices.ContainsFunc(old, func(o Denial) bool { return sameDenial(d, o) })
	})
	return append(denials, x.plan.additions.refuse(newContainers(before, after))...)
}

func sameDenial(a, b Denial) bool {
	return a.Code == b.Code && a.Field == b.Field && a.Message == b.Message
}

// concernsOneOf says whether a field isn't what it has to be that is, or is in, or has in it, one of these. Constraints say by
// their messages what has changed.
func concernsOneOf(d Denial, paths []string) bool {
	return d.Code == FieldChanged && slices.ContainsFunc(paths, func(path string) bool {
		return strings.HasPrefix(d.Field, path) || strings.HasPrefix(path, d.Field)
	})
}

// newContainers are the ephemeral containers that an update adds.
func newContainers(before, after *corev1.Pod) []addition {
	var added []addition
	for i := range after.Spec.EphemeralContainers {
		name := after.Spec.EphemeralContainers[i].Name
		if !slices.ContainsFunc(before.Spec.EphemeralContainers, func(e corev1.EphemeralContainer) bool { return e.Name == name }) {
			added = append(added, addition{path: "spec.ephemeralContainers[" + name + "]", name: name})
		}
	}
	return added
}
