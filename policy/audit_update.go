package policy

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Update judges an update of a hub's pod: what it changes whatever policy says (see Changed) and what of a subresource the policies
// of today allow (see Allows). in is as for Verify, of the pod as it was.
//
// A pod that wasn't fitted, where audited policies alone match, keeps its identity and is otherwise nobody's business; the
// report says what would be denied. The report is nil where no audited policy matches.
func (c *Compiled) Update(in Input, before, after *corev1.Pod, sub Subresource) ([]Denial, *AuditReport) {
	denials := c.decideUpdate(in, before, after, sub)
	audited := c.auditing(&in)
	if len(audited) == 0 {
		return denials, nil
	}
	would := c.whole.tried(func() (Result, error) { return Result{Denials: c.whole.decideUpdate(in, before, after, sub)}, nil }).Denials
	if c.leavesAlone(&in, audited) {
		denials = Changed(before, after, sub)
		if !IsFitted(before) {
			denials = slices.DeleteFunc(denials, func(d Denial) bool { return !isKey(d.Field) })
		}
	}
	report := &AuditReport{Policies: refsOf(audited), Denials: notAmong(would, denials)}
	if len(would) == 0 {
		report.Lifted = denials
	}
	return denials, report
}

func (c *Compiled) decideUpdate(in Input, before, after *corev1.Pod, sub Subresource) []Denial {
	denials := Changed(before, after, sub)
	switch {
	case len(denials) > 0 || sub != EphemeralContainers && sub != Resize:
		return denials
	case len(in.Refused) > 0:
		return in.Refused
	}
	return c.Allows(in, before, after)
}

// isKey says whether a path is that of a label or annotation.
func isKey(path string) bool { return isMetadata(path) && path != "metadata.ownerReferences" }
