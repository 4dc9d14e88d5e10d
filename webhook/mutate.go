package webhook

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy"
)

// engine fits pods by the policies of this moment.
type engine interface {
	// Apply fits a pod. ready is false before the policies have been read.
	Apply(in policy.Input) (result policy.Result, ready bool, err error)
}

// namespaceLabels knows the namespaces of this moment.
type namespaceLabels interface {
	// Labels of a namespace; known is false for one that isn't in the cache (yet).
	Labels(ctx context.Context, name string) (labels map[string]string, known bool)
}

// mutator answers /mutate: it fits out the skeletons of hubs, and lets everything else pass untouched.
type mutator struct {
	engine     engine
	namespaces namespaceLabels
	log        logr.Logger
}

var podResource = metav1.GroupVersionResource{Version: "v1", Resource: "pods"}

// Handle never panics: a panic is an error answer.
func (m *mutator) Handle(ctx context.Context, req admission.Request) (response admission.Response) {
	defer func() {
		if r := recover(); r != nil {
			m.log.Error(fmt.Errorf("panic: %v", r), "fitting a pod panicked", "uid", req.UID, "stack", string(debug.Stack()))
			response = internalError(req.UID)
		}
	}()
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
	labels, known := m.namespaces.Labels(ctx, req.Namespace)
	if !known {
		return notReady(fmt.Sprintf("namespace %q isn't known here yet", req.Namespace))
	}
	identity, denials := policy.IdentityOf(pod)
	readable := len(denials) == 0
	surplus, shape := policy.Surplus(pod)
	denials = append(append(denials, generated(pod)...), policy.Owned(pod)...)
	var result policy.Result
	if readable { // so that a caller hears all that is wrong at once
		var ready bool
		var err error
		result, ready, err = m.engine.Apply(policy.Input{
			Identity:  identity,
			Namespace: policy.Namespace{Name: req.Namespace, Labels: labels},
			Caller:    req.UserInfo.Username,
			Sent:      pod,
			Surplus:   surplus,
			Shape:     shape,
		})
		switch {
		case !ready:
			return notReady("the policies aren't read yet")
		case err != nil:
			m.log.Error(err, "can't fit a pod", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name)
			return internalError(req.UID)
		}
		denials = append(denials, result.Denials...)
	}
	if len(denials) > 0 {
		return m.deny(req, pod, denials)
	}
	response, err := answer(req.Object.Raw, pod, &result)
	if err != nil {
		m.log.Error(err, "can't answer with a fitted pod", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name)
		return internalError(req.UID)
	}
	m.log.V(1).Info("fitted", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name, "hub", identity.Hub, "hash", result.Applied.Hash)
	return response
}

func answer(raw []byte, sent *corev1.Pod, result *policy.Result) (admission.Response, error) {
	if result.Kept {
		return kept(raw, sent, result)
	}
	return fitted(result)
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

// deny answers, and logs codes and paths. Messages stay out of the log: they may quote values.
func (m *mutator) deny(req *admission.Request, pod *corev1.Pod, denials []policy.Denial) admission.Response {
	reasons := make([]string, 0, min(len(denials), maxDenials))
	for _, d := range denials[:min(len(denials), maxDenials)] {
		reasons = append(reasons, string(d.Code)+" "+d.Field)
	}
	m.log.Info("denied", "uid", req.UID, "namespace", req.Namespace, "pod", pod.Name, "caller", req.UserInfo.Username,
		"hub", pod.Labels[policy.LabelHub], "reasons", reasons)
	return denied(pod, denials)
}
