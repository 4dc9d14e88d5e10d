package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

const (
	// auditReason, auditPolicies and auditGeneration are keys of audit annotations: the code of a denial, who decided, and which
	// generations of them, in the same order.
	auditReason     = "reason"
	auditPolicies   = "policies"
	auditGeneration = "generation"

	statusNotReady = http.StatusServiceUnavailable
	// retryAfter, in seconds, makes clients of Kubernetes try again by themselves.
	retryAfter = 1
	// maxDenials bounds an answer to a pod in which everything is wrong.
	maxDenials = 20
)

// ignored lets an object pass as it is.
func ignored() admission.Response { return admission.Allowed("") }

// fitted replaces all that policy decides on by the fitted pod's.
//
// "add" puts a member in place whether it was there or not, so the patch always applies. One that doesn't would be an
// internal error, which not even failurePolicy covers.
func fitted(result *policy.Result) (admission.Response, error) {
	pod := result.Pod
	patch, err := json.Marshal([]struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}{
		{"add", "/metadata/annotations", orEmpty(pod.Annotations)},
		{"add", "/metadata/labels", orEmpty(pod.Labels)},
		{"add", "/spec", &pod.Spec},
	})
	if err != nil {
		return admission.Response{}, fmt.Errorf("encode the fitted pod: %w", err)
	}
	return patched(patch, result), nil
}

// kept changes of the pod that was sent what policy changes, and nothing else.
func kept(raw []byte, sent *corev1.Pod, result *policy.Result) (admission.Response, error) {
	patch, err := policy.Patch(raw, sent, result.Pod)
	if err != nil {
		return admission.Response{}, fmt.Errorf("make the patch of a kept pod: %w", err)
	}
	return patched(patch, result), nil
}

func patched(patch []byte, result *policy.Result) admission.Response {
	response := admission.Allowed("")
	response.Patch = patch
	response.PatchType = new(admissionv1.PatchTypeJSONPatch)
	response.Warnings = result.Warnings
	response.AuditAnnotations = decidedBy(result.Applied.Policies)
	return response
}

// verified lets a pod pass that is what policy made of it.
func verified(pod *corev1.Pod) admission.Response {
	response := admission.Allowed("")
	response.AuditAnnotations = decidedBy(policy.AppliedPolicies(pod))
	return response
}

// decidedBy are the audit annotations that name policies.
func decidedBy(refs []policy.PolicyRef) map[string]string {
	names, generations := make([]string, 0, len(refs)), make([]string, 0, len(refs))
	for _, r := range refs {
		names = append(names, r.String())
		generations = append(generations, strconv.FormatInt(r.Generation, 10))
	}
	return map[string]string{auditPolicies: strings.Join(names, ", "), auditGeneration: strings.Join(generations, ", ")}
}

// orEmpty keeps null out of the patch.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// denied refuses a pod for all the reasons that there are. denials must not be empty.
func denied(pod *corev1.Pod, denials []policy.Denial) admission.Response {
	reason, code := metav1.StatusReasonForbidden, int32(http.StatusForbidden)
	if !slices.ContainsFunc(denials, func(d policy.Denial) bool { return d.Code != policy.PolicyChanged }) {
		reason, code = metav1.StatusReasonConflict, http.StatusConflict // may be tried again
	}
	sentences := make([]string, 0, len(denials))
	details := &metav1.StatusDetails{Name: pod.Name, Kind: "pods"}
	for i, d := range denials {
		if i == maxDenials {
			sentences = append(sentences, fmt.Sprintf("and %d more", len(denials)-i))
			break
		}
		sentences = append(sentences, d.String())
		details.Causes = append(details.Causes, metav1.StatusCause{
			Type: metav1.CauseType(d.Code), Field: d.Field, Message: policy.Denial{Policy: d.Policy, Message: d.Message}.String(),
		})
	}
	audit := decidedBy(blamed(denials))
	audit[auditReason] = string(denials[0].Code)
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{
		Result: &metav1.Status{
			Status: metav1.StatusFailure, Code: code, Reason: reason, Details: details,
			Message: fmt.Sprintf("Slipway %s: %s", denials[0].Code, strings.Join(sentences, "; ")),
		},
		AuditAnnotations: audit,
	}}
}

func blamed(denials []policy.Denial) []policy.PolicyRef {
	var refs []policy.PolicyRef
	for _, d := range denials {
		if d.Policy != nil && !slices.Contains(refs, *d.Policy) {
			refs = append(refs, *d.Policy)
		}
	}
	return refs
}

// notReady asks to try again: what the answer depends on isn't here yet.
func notReady(what string) admission.Response {
	return failure(statusNotReady, metav1.StatusReasonServiceUnavailable,
		"Slipway "+reasonNotReady+": "+what+"; try again", &metav1.StatusDetails{RetryAfterSeconds: retryAfter})
}

// tooMany asks to try again when there is less to do.
func tooMany() admission.Response {
	return failure(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests,
		"Slipway "+reasonTooMany+": this replica decides on as much as it can at once; try again", &metav1.StatusDetails{RetryAfterSeconds: retryAfter})
}

// timedOut: the request's time was over before it was decided.
func timedOut() admission.Response {
	return failure(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, "Slipway "+reasonTimeout+": the request's time was over before it was decided; try again",
		&metav1.StatusDetails{RetryAfterSeconds: retryAfter})
}

// badRequest says that an AdmissionReview asks for something that this webhook isn't for.
func badRequest(why string) admission.Response {
	return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, "Slipway "+reasonBadRequest+": "+why, nil)
}

// internalError says no more than where to look: the cause may hold what isn't for the caller.
func internalError(uid types.UID) admission.Response {
	response := failure(http.StatusInternalServerError, metav1.StatusReasonInternalError,
		fmt.Sprintf("Slipway %s: the pod could not be fitted; the webhook's log says why, under uid %s", reasonInternal, uid), nil)
	response.UID = uid
	return response
}

func failure(code int32, reason metav1.StatusReason, message string, details *metav1.StatusDetails) admission.Response {
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: details,
	}}}
}
