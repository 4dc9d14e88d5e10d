package webhook

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Keys of audit annotations that tell of audited policies. The API server puts the webhook's name before them:
// mutate.slipway.dev/audit-outcome.
const (
	// auditEnforcement is "Audit" on a pod that passes as it is, since audited policies alone match.
	auditEnforcement = "enforcement"
	// auditBy names the audited policies that match.
	auditBy = "audit-policies"
	// auditOutcome is what would become of the request: a policy.AuditOutcome.
	auditOutcome = "audit-outcome"
	// auditReasons are the denials that there would be, as "CODE PATH", and auditDifferences what would be another in the pod, as
	// "added PATH", "changed PATH" or "removed PATH"; both separated by ", ". Neither has values in it.
	auditReasons     = "audit-reasons"
	auditDifferences = "audit-differences"

	// maxAuditAnnotation bounds each, in bytes: what ValidatingAdmissionPolicies are let write.
	maxAuditAnnotation = 10 << 10
)

// The reasons of Events that tell of audited policies.
const (
	eventAuditDenied   = "AuditDenied"
	eventAuditAdmitted = "AuditAdmitted"
	eventAuditChanged  = "AuditChanged"
)

// audited tells of a report beside the answer: in its warnings and audit annotations, a metric and an Event. nil changes nothing.
func (d *decider) audited(req *admission.Request, pod *corev1.Pod, report *policy.AuditReport, response admission.Response) admission.Response {
	if report == nil {
		return response
	}
	outcome, reason := report.Outcome(), ""
	if len(report.Denials) > 0 {
		reason = string(report.Denials[0].Code)
	}
	auditReports.WithLabelValues(d.webhook, string(outcome), reason).Inc()
	d.events.audited(req, pod, report)
	d.log.V(1).Info("audited", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name, "outcome", outcome, "reason", reason)

	response.Warnings = (&policy.Result{Warnings: response.Warnings, Audit: report}).AllWarnings()
	if response.AuditAnnotations == nil {
		response.AuditAnnotations = map[string]string{}
	}
	annotate := func(key string, values []string) {
		if len(values) > 0 {
			response.AuditAnnotations[key] = cut(strings.Join(values, ", "), maxAuditAnnotation)
		}
	}
	annotate(auditBy, []string{report.By()})
	annotate(auditOutcome, []string{string(outcome)})
	annotate(auditReasons, reasonsOf(report.Denials))
	var differences []string
	for _, x := range report.Differences {
		differences = append(differences, string(x.Change)+" "+x.Path)
	}
	annotate(auditDifferences, differences)
	return response
}

// reasonsOf are denials without their messages, which may quote values.
func reasonsOf(denials []policy.Denial) []string {
	reasons := make([]string, 0, len(denials))
	for _, denial := range denials {
		reasons = append(reasons, strings.TrimSpace(string(denial.Code)+" "+denial.Field))
	}
	return reasons
}

// untouched lets a pod pass as it is, and says that nobody looked after it.
func untouched() admission.Response {
	response := admission.Allowed("")
	response.AuditAnnotations = map[string]string{auditEnforcement: string(v1alpha1.Audit)}
	return response
}

// passed lets a pod pass that is what policy made of it, or that nobody fitted, since audited policies alone match.
func passed(req *admission.Request, before *corev1.Pod) admission.Response {
	if !policy.IsFitted(before) && req.SubResource == "" {
		return untouched()
	}
	return verified(before)
}

// audited tells of what would be otherwise, if anything would.
func (e *events) audited(req *admission.Request, pod *corev1.Pod, report *policy.AuditReport) {
	if report.Outcome() != policy.AuditUnchanged {
		e.tell(req, func() *corev1.Event { return auditEvent(req.Namespace, pod, report) })
	}
}

func auditEvent(namespace string, pod *corev1.Pod, report *policy.AuditReport) *corev1.Event {
	event := podEvent(namespace, pod)
	event.GenerateName = "slipway-audit-"
	event.Type = corev1.EventTypeNormal
	switch report.Outcome() {
	case policy.AuditDenied:
		event.Type, event.Reason = corev1.EventTypeWarning, eventAuditDenied
	case policy.AuditAdmitted:
		event.Reason = eventAuditAdmitted
	case policy.AuditChanged, policy.AuditUnchanged:
		event.Reason = eventAuditChanged
	}
	sentences := []string{"nothing of this is done while the policy says enforcement: Audit (" + report.By() + ")"}
	for _, d := range report.Denials {
		sentences = append(sentences, "would be denied: "+plainly(d))
	}
	for _, d := range report.Lifted {
		sentences = append(sentences, "would not be denied any more: "+plainly(d))
	}
	for _, kind := range []policy.Change{policy.FieldAdded, policy.FieldReplaced, policy.FieldRemoved} {
		if paths := report.Paths(kind); len(paths) > 0 {
			sentences = append(sentences, "would be "+string(kind)+": "+strings.Join(paths, ", "))
		}
	}
	event.Message = cut(strings.Join(sentences, "; "), maxEventMessage)
	return event
}
