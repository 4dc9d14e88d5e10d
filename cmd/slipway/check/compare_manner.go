package check

import (
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// compareManner looks at how the API server asks, and what it does where nobody answers.
func compareManner(want, have *hook, as role) []difference {
	var found []difference
	if f := have.FailurePolicy; f != nil && *f != admissionregistrationv1.Fail {
		d := difference{Wrong, "failurePolicy", "is " + string(*f) + ", must be Fail: while the webhook is down, " + as.missed, admissionregistrationv1.Fail, true}
		if as.failOpen {
			d.severity = Warning
		}
		found = append(found, d)
	}
	if have.SideEffects == nil || *have.SideEffects != *want.SideEffects && *have.SideEffects != admissionregistrationv1.SideEffectClassNone {
		found = append(found, difference{Warning, "sideEffects", fmt.Sprintf("must be %s, or the API server refuses dry runs", *want.SideEffects), *want.SideEffects, false})
	}
	if m := have.MatchPolicy; m != nil && *m != *want.MatchPolicy {
		found = append(found, difference{Warning, "matchPolicy", fmt.Sprintf("is %s, should be %s: what comes by another version of the API isn't asked about", *m, *want.MatchPolicy), *want.MatchPolicy, false})
	}
	if r := have.ReinvocationPolicy; r != nil && want.ReinvocationPolicy != nil && *r != *want.ReinvocationPolicy {
		found = append(found, difference{Warning, "reinvocationPolicy", fmt.Sprintf("is %s, should be %s: what other webhooks add would be fitted away", *r, *want.ReinvocationPolicy), *want.ReinvocationPolicy, false})
	}
	if !slices.Contains(have.AdmissionReviewVersions, want.AdmissionReviewVersions[0]) {
		found = append(found, difference{Wrong, "admissionReviewVersions", "must have " + want.AdmissionReviewVersions[0] + ", the one that the webhook speaks", want.AdmissionReviewVersions, false})
	}
	return append(found, compareTimeout(want, have)...)
}

// compareTimeout: the chart lets it be set.
func compareTimeout(want, have *hook) []difference {
	const short = 2
	t := have.TimeoutSeconds
	switch {
	case t == nil:
		return nil
	case *t < short:
		return []difference{{Warning, "timeoutSeconds", fmt.Sprintf("is %d: one slow answer refuses a server; %d are usual", *t, *want.TimeoutSeconds), *want.TimeoutSeconds, false}}
	case *t > 2*(*want.TimeoutSeconds):
		return []difference{{Warning, "timeoutSeconds", fmt.Sprintf("is %d: so long every server waits when a replica hangs; %d are usual", *t, *want.TimeoutSeconds), *want.TimeoutSeconds, false}}
	}
	return nil
}
