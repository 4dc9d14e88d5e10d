package webhook

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy"
)

// verifier answers /verify: it looks at pods after everybody else, and refuses those that aren't what policy made of them.
type verifier struct{ decider }

// Handle judges a create by the final pod, an update by what it changes.
func (v *verifier) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Resource != podResource {
		return badRequest(fmt.Sprintf("this webhook is for pods, not for %q: mend the webhook configuration", req.Resource.Resource))
	}
	pod := &corev1.Pod{}
	switch req.Operation {
	case admissionv1.Create, admissionv1.Update:
		if err := sigsjson.UnmarshalCaseSensitivePreserveInts(req.Object.Raw, pod); err != nil {
			return badRequest("the object can't be read as a pod: " + err.Error())
		}
	default:
		return ignored()
	}
	if req.Operation == admissionv1.Update {
		return v.update(ctx, &req, pod)
	}
	if req.SubResource != "" {
		return ignored() // a binding or an eviction: no pod comes with it
	}
	return v.create(ctx, &req, pod)
}

func (v *verifier) create(ctx context.Context, req *admission.Request, pod *corev1.Pod) admission.Response {
	if _, labelled := pod.Labels[policy.LabelHub]; !labelled {
		return v.deny(req, pod, []policy.Denial{unlabelled(pod)})
	}
	identity, denials := policy.IdentityOf(pod)
	response := v.judge(ctx, req, pod, identity, pod, func(in policy.Input) ([]policy.Denial, *policy.AuditReport, bool) {
		in.Refused = slices.Concat(denials, generated(pod))
		defer enterEngine(ctx, v.webhook, v.tracing).leave()
		found, ready := v.engine.Verify(in, pod)
		return found, nil, ready // the caller has heard of the audited policies
	})
	if response.Allowed && (req.DryRun == nil || !*req.DryRun) {
		v.fitted.count(policy.AppliedPolicies(pod)) // and not by the fitting webhook: a pod may be refused here, and tried again
	}
	return response
}

// unlabelled: this webhook is only asked about a pod without the hub label if the label was there before, or if the
// account is one that launches servers and nothing else.
func unlabelled(pod *corev1.Pod) policy.Denial {
	path := "metadata.labels[" + policy.LabelHub + "]"
	if _, fitted := pod.Annotations[policy.AnnotationApplied]; fitted {
		return policy.Denial{Code: policy.FieldChanged, Field: path, Message: "is gone: policy fitted this pod, so something that came later took the label away"}
	}
	return policy.Denial{Code: policy.LauncherNotAllowed, Field: path, Message: "is missing: an account that launches servers creates no other pods"}
}

func (v *verifier) update(ctx context.Context, req *admission.Request, pod *corev1.Pod) admission.Response {
	before := &corev1.Pod{}
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(req.OldObject.Raw, before); err != nil {
		return badRequest("the old object can't be read as a pod: " + err.Error())
	}
	sub := policy.Subresource(req.SubResource)
	_, governed := before.Labels[policy.LabelHub]
	switch denials := policy.Changed(before, pod, sub); {
	case len(denials) > 0 && (!governed || policy.IsFitted(before)):
		return v.deny(req, pod, denials)
	case len(denials) == 0 && (!governed || sub != policy.EphemeralContainers && sub != policy.Resize):
		return ignored()
	}
	identity, denials := policy.IdentityOf(before)
	return v.judge(ctx, req, pod, identity, before, func(in policy.Input) ([]policy.Denial, *policy.AuditReport, bool) {
		in.Refused = denials
		defer enterEngine(ctx, v.webhook, v.tracing).leave()
		return v.engine.Update(in, before, pod, sub)
	})
}

// judge asks the engine, and answers. before is the pod that was, or pod itself where there was none.
func (v *verifier) judge(
	ctx context.Context, req *admission.Request, pod *corev1.Pod, identity policy.Identity, before *corev1.Pod,
	ask func(policy.Input) ([]policy.Denial, *policy.AuditReport, bool),
) admission.Response {
	in, claims, response := v.input(ctx, req, identity)
	if response != nil {
		return *response
	}
	denials, report, ready := ask(in)
	switch {
	case !ready:
		return notReady("the policies aren't read yet")
	case claims.err != nil:
		v.log.Error(claims.err, "can't read claims from the cache", "uid", req.UID, "namespace", req.Namespace)
		return notReady("the claims of the namespace can't be read")
	case len(denials) > 0:
		return v.audited(req, pod, report, v.deny(req, pod, denials))
	}
	return v.audited(req, pod, report, passed(req, before))
}
