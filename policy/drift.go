package policy

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Drift says in what a running pod isn't the one that policy would make now. What the API server, its admission, the scheduler and
// the kubelet add is no difference, nor are labels and annotations that no policy gave the pod.
func Drift(live *corev1.Pod, would *Result) []Difference {
	want, have := compared(would.Pod), compared(live)
	have.Spec.NodeName = want.Spec.NodeName
	found := (&comparison{asserted: would.Kept}).pods(want, have)
	leaves := PodLeaves(have)
	var differences []Difference
	for _, path := range found.changed {
		change := FieldAdded
		if slices.ContainsFunc(leaves, func(l Leaf) bool { return IsBelow(l.Path, path) }) {
			change = FieldReplaced
		}
		differences = append(differences, Difference{path, change})
	}
	applied, _ := appliedTo(live)
	for _, a := range found.added {
		if isMetadata(a.path) && !slices.Contains(slices.Concat(applied.Labels, applied.Annotations), a.name) {
			continue
		}
		differences = append(differences, Difference{a.path, FieldRemoved})
	}
	return differences
}

// IsBelow says whether a path is another or lies below it.
func IsBelow(path, above string) bool {
	rest, is := strings.CutPrefix(path, above)
	return is && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Changes says in what one result for a server isn't another. Both must have a pod.
func Changes(in *Input, before, after *Result) []Difference { return differencesOf(in, before, after) }

// ChosenClaims are the claims that a pod was fitted with because they were there: by the keys of the setting claims, "" for the home.
// Those that are called as policy's templates say aren't among them.
func ChosenClaims(pod *corev1.Pod) map[string]string {
	applied, _ := appliedTo(pod)
	chosen := map[string]string{}
	maps.Copy(chosen, applied.Claims)
	if applied.Claim != "" {
		chosen[""] = applied.Claim
	}
	return chosen
}
