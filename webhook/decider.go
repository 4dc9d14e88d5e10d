package webhook

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

// engine decides by the policies of this moment. ready is false before they have been read.
type engine interface {
	// Apply fits a pod.
	Apply(in policy.Input) (result policy.Result, ready bool, err error)
	// Verify judges the final pod of a create request.
	Verify(in policy.Input, pod *corev1.Pod) (denials []policy.Denial, ready bool)
	// Update judges an update.
	Update(in policy.Input, before, after *corev1.Pod, sub policy.Subresource) (denials []policy.Denial, report *policy.AuditReport, ready bool)
}

// namespaceLabels knows the namespaces of this moment.
type namespaceLabels interface {
	// Labels of a namespace; known is false for one that isn't in the cache (yet).
	Labels(ctx context.Context, name string) (labels map[string]string, known bool)
}

// claimCache knows the claims of this moment.
type claimCache interface {
	In(ctx context.Context, namespace string) *namespaceClaims
}

// decider is what both webhooks decide with.
type decider struct {
	// webhook is its name in metrics.
	webhook    string
	engine     engine
	namespaces namespaceLabels
	claims     claimCache
	events     *events
	fitted     *fittings
	tracing    *tracing // may be nil
	log        logr.Logger
}

var podResource = metav1.GroupVersionResource{Version: "v1", Resource: "pods"}

// input is what the engine needs to know of a request, beside the pod. The answer is nil, unless something is missing.
func (d *decider) input(ctx context.Context, req *admission.Request, identity policy.Identity) (policy.Input, *namespaceClaims, *admission.Response) {
	if req.UserInfo.Username == "" { // the engine would assume a caller that policy lists
		response := badRequest("the request names no user")
		return policy.Input{}, nil, &response
	}
	labels, known := d.namespaces.Labels(ctx, req.Namespace)
	if !known {
		response := notReady(fmt.Sprintf("namespace %q isn't known here yet", req.Namespace))
		return policy.Input{}, nil, &response
	}
	claims := d.claims.In(ctx, req.Namespace)
	return policy.Input{
		Identity:  identity,
		Namespace: policy.Namespace{Name: req.Namespace, Labels: labels},
		Caller:    req.UserInfo.Username,
		Claims:    claims,
	}, claims, nil
}

// generated refuses generateName: who a server is for is checked by its name, and a mutating webhook can't see the
// name that is going to be generated.
func generated(pod *corev1.Pod) []policy.Denial {
	if pod.GenerateName == "" {
		return nil
	}
	return []policy.Denial{{
		Code: policy.NameMismatch, Field: "metadata.generateName",
		Message: "generateName is not allowed: give the pod the name that the policy's podNameTemplate has for this user and server",
	}}
}

// deny answers, tells of it in the pod's namespace, and logs codes and paths. Messages stay out of the log: they may quote values.
func (d *decider) deny(req *admission.Request, pod *corev1.Pod, denials []policy.Denial) admission.Response {
	reasons := reasonsOf(denials[:min(len(denials), maxDenials)])
	d.log.Info("denied", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name, "operation", req.Operation, "caller", req.UserInfo.Username,
		"hub", pod.Labels[policy.LabelHub], "reasons", reasons)
	d.events.denied(req, pod, denials)
	return denied(pod, denials)
}
