package policy

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Verify judges the final pod of a create request, after everybody else has had the chance to change it: all that was
// fitted is still there, nothing was added that additions doesn't allow, enforced settings would change nothing, and every
// constraint holds.
//
// in.Identity, in.Caller and in.Refused are those of the request; in.Claim, in.MoreClaims, in.Sent and in.Surplus aren't used. known is false where
// the pod was fitted by other policies, or other generations of them, than these: then nothing is said about it. Where audited
// policies alone match, a pod that wasn't fitted passes.
func (c *Compiled) Verify(in Input, pod *corev1.Pod) (denials []Denial, known bool) {
	applied, err := appliedTo(pod)
	switch {
	case err != nil && !IsFitted(pod) && c.leavesAlone(&in, c.auditing(&in)):
		return nil, true
	case len(in.Refused) > 0:
		return in.Refused, true
	case err != nil:
		return []Denial{*err}, true
	}
	policies := c.selectPolicies(&in).policies
	if len(policies) == 0 || applied.Hash != hashOf(policies) || !slices.Equal(applied.Policies, refsOf(policies)) {
		return nil, false
	}
	in.Claim, in.MoreClaims, in.Sent, in.Surplus = &applied.Claim, applied.Claims, pod, nil
	x, denials, _ := c.prepare(&in)
	if len(denials) > 0 {
		return denials, true
	}
	if denials := x.expand(); len(denials) > 0 {
		return denials, true
	}
	var warnings []string // the caller has heard them
	want, denials := x.fit(&warnings)
	if len(denials) > 0 {
		return denials, true
	}
	denials = append(x.differs(want, pod), ownerDenials(pod)...)
	return append(denials, x.constrain(pod)...), true
}

// differs says in what a final pod isn't the fitted one. A kept pod was made of what the hub sent, which isn't known any more: the
// final one is kept once more, and nothing may come of it.
func (x *server) differs(want, pod *corev1.Pod) []Denial {
	var denials []Denial
	found := (&comparison{asserted: x.keeping()}).pods(want, pod)
	for _, path := range found.changed {
		denials = append(denials, denyf(FieldChanged, nil, path, "isn't what policy fitted any more: something that came later changed it"))
	}
	if x.keeping() {
		for _, a := range found.added {
			denials = append(denials, denyf(FieldChanged, nil, a.path, "isn't let through by policy: something that came later added it"))
		}
		return denials
	}
	found.added = slices.DeleteFunc(found.added, func(a addition) bool { return isMetadata(a.path) && x.plan.keeps(a.name) })
	denials = append(denials, x.plan.additions.refuse(found.added)...)
	return append(denials, x.unasserted(pod)...)
}

func isMetadata(path string) bool { return strings.HasPrefix(path, "metadata.") }

// appliedTo reads which policies made a pod.
func appliedTo(pod *corev1.Pod) (Applied, *Denial) {
	path := "metadata.annotations[" + AnnotationApplied + "]"
	applied := Applied{}
	text, has := pod.Annotations[AnnotationApplied]
	if !has {
		d := denyf(FieldChanged, nil, path, "is missing: policy didn't fit this pod, or something that came later took the annotation away")
		return applied, &d
	}
	if err := json.Unmarshal([]byte(text), &applied); err != nil {
		d := denyf(FieldChanged, nil, path, "isn't what policy wrote: it can't be read")
		return applied, &d
	}
	return applied, nil
}

// AppliedPolicies are the policies that a pod says it was fitted by, weakest first; nil where it says nothing that can be read.
// Anybody may have written that: it is for those who know that the pod was verified.
func AppliedPolicies(pod *corev1.Pod) []PolicyRef {
	applied, _ := appliedTo(pod)
	return applied.Policies
}

func refsOf(policies []*compiledPolicy) []PolicyRef {
	refs := make([]PolicyRef, 0, len(policies))
	for _, p := range policies {
		refs = append(refs, p.ref)
	}
	return refs
}

// unasserted says what enforced settings would still change in a pod.
func (x *server) unasserted(pod *corev1.Pod) []Denial {
	if len(x.plan.asserted[0]) == 0 && len(x.plan.asserted[1]) == 0 {
		return nil
	}
	asserted := pod.DeepCopy()
	if denials := x.reassert(asserted); len(denials) > 0 {
		return denials
	}
	found := (&comparison{asserted: true}).pods(asserted, pod)
	paths := found.changed
	for _, a := range found.added {
		paths = append(paths, a.path)
	}
	var denials []Denial
	for _, path := range paths {
		denials = append(denials, denyf(FieldChanged, nil, path, "isn't what policy enforces"))
	}
	return denials
}
