package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy"
)

// mutator answers /mutate: it fits out the skeletons of hubs, and lets everything else pass untouched.
type mutator struct{ decider }

// Handle fits out a skeleton.
func (m *mutator) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Resource != podResource {
		return badRequest(fmt.Sprintf("this webhook is for pods, not for %q: mend the webhook configuration", req.Resource.Resource))
	}
	// What exists is never changed: a new policy must not reach running servers.
	if req.Operation != admissionv1.Create || req.SubResource != "" {
		return ignored()
	}
	pod := &corev1.Pod{}
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(req.Object.Raw, pod); err != nil {
		return badRequest("the object can't be read as a pod: " + err.Error())
	}
	if _, opted := pod.Labels[policy.LabelHub]; !opted {
		return ignored()
	}
	return m.fit(ctx, &req, pod)
}

func (m *mutator) fit(ctx context.Context, req *admission.Request, pod *corev1.Pod) admission.Response {
	identity, denials := policy.IdentityOf(pod)
	in, claims, missing := m.input(ctx, req, identity)
	if missing != nil {
		return *missing
	}
	in.Sent = pod
	in.Surplus, in.Shape = policy.Surplus(pod)
	in.Refused = append(append(denials, generated(pod)...), policy.Owned(pod)...)
	result, ready, err := m.apply(ctx, in)
	switch {
	case !ready:
		return notReady("the policies aren't read yet")
	case err != nil:
		m.log.Error(err, "can't fit a pod", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name)
		return internalError(req.UID)
	case claims.err != nil:
		m.log.Error(claims.err, "can't read claims from the cache", "uid", req.UID, "namespace", req.Namespace)
		return notReady("the claims of the namespace can't be read")
	case len(result.Denials) > 0:
		return m.audited(req, pod, result.Audit, m.deny(req, pod, result.Denials))
	}
	response, err := answer(req.Object.Raw, pod, &result)
	if err != nil {
		m.log.Error(err, "can't answer with a fitted pod", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name)
		return internalError(req.UID)
	}
	m.log.V(1).Info("fitted", "untouched", result.Untouched, "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name, "hub", identity.Hub, "hash", result.Applied.Hash)
	return m.audited(req, pod, result.Audit, response)
}

func (m *mutator) apply(ctx context.Context, in policy.Input) (result policy.Result, ready bool, err error) {
	defer enterEngine(ctx, m.webhook, m.tracing).leave()
	return m.engine.Apply(in)
}

func answer(raw []byte, sent *corev1.Pod, result *policy.Result) (admission.Response, error) {
	switch {
	case result.Untouched:
		return untouched(), nil
	case result.Kept:
		return kept(raw, sent, result)
	}
	return fitted(result)
}
