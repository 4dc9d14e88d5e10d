package webhook

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const (
	// policiesAtOnce bounds the policies of each kind that are judged at one time: what they cost must not slow pods down.
	policiesAtOnce = 1
	// judgingTime bounds how long samples are tried for one policy; what is left then is not tried.
	judgingTime = 3 * time.Second
)

// policyValidator answers /validate-policy: it refuses policies that could make no pod, and warns of what is doubtful.
type policyValidator struct {
	policies   *policies
	namespaces namespaceLabels
	log        logr.Logger
	// A namespace must not keep the platform team from writing theirs, so each kind has room of its own; nil: no bound.
	ofNamespaces, ofCluster inFlight
	tracing                 *tracing // may be nil
}

func newPolicyValidator(p *policies, namespaces namespaceLabels, log logr.Logger) *policyValidator {
	return &policyValidator{
		policies: p, namespaces: namespaces, log: log, ofNamespaces: make(inFlight, policiesAtOnce), ofCluster: make(inFlight, policiesAtOnce),
	}
}

// Handle judges a policy that is written.
func (v *policyValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Resource.Group != v1alpha1.GroupVersion.Group || req.Resource.Resource != "spawnpolicies" && req.Resource.Resource != "clusterspawnpolicies" {
		return badRequest(fmt.Sprintf("this webhook is for Slipway's policies, not for %q: mend the webhook configuration", req.Resource.Resource))
	}
	// A policy that was admitted must stay mendable, and take labels, finalizers and its status, whatever was admitted since.
	created := req.Operation == admissionv1.Create
	if req.SubResource != "" || !created && (req.Operation != admissionv1.Update || sameSpec(req.OldObject.Raw, req.Object.Raw)) {
		return ignored()
	}
	room := v.ofCluster
	if req.Namespace != "" {
		room = v.ofNamespaces
	}
	if !room.enter() {
		return tooMany()
	}
	defer room.leave()
	return v.judge(ctx, &req)
}

// judge tries what a written policy makes of servers, beside the others.
func (v *policyValidator) judge(ctx context.Context, req *admission.Request) admission.Response {
	written, faults := policy.DecodeObject(req.Object.Raw)
	ref := policy.PolicyRef{Namespace: req.Namespace, Name: req.Name}
	if len(faults) > 0 {
		return v.refuse(req, ref, faults, nil)
	}
	set := v.policies.current.Load()
	if set == nil {
		return notReady("the policies aren't read yet")
	}
	found, inTime := v.check(ctx, req, set, written, ref)
	if !inTime {
		return timedOut()
	}
	if len(found.Errors) > 0 {
		return v.refuse(req, ref, found.Errors, found.Warnings)
	}
	response := admission.Allowed("")
	response.Warnings = found.Warnings
	response.AuditAnnotations = decidedBy([]policy.PolicyRef{ref})
	return response
}

// check asks the engine. inTime is false where there was none left to try anything in.
func (v *policyValidator) check(ctx context.Context, req *admission.Request, set *policySet, written policy.Policies, ref policy.PolicyRef) (found policy.Findings, inTime bool) {
	defer enterEngine(ctx, validatesPolicies, v.tracing).leave()
	compiled := set.compiled.With(written)
	if ctx.Err() != nil {
		return found, false
	}
	ctx, cancel := context.WithTimeout(ctx, judgingTimeOf(ctx))
	defer cancel()
	return compiled.Check(ref, policy.Surroundings{
		Namespaces: v.namespacesFor(ctx, compiled, ref),
		Before:     before(set, req),
		TimeIsUp:   func() bool { return ctx.Err() != nil },
	}), true
}

// before are the policies with the one that is written as it was, if it could be read.
func before(set *policySet, req *admission.Request) *policy.Compiled {
	if req.Operation != admissionv1.Update {
		return nil
	}
	old, faults := policy.DecodeObject(req.OldObject.Raw)
	if len(faults) > 0 {
		return nil
	}
	return set.compiled.With(old)
}

// judgingTimeOf leaves half of the request's own time for the answer: one that comes too late is none.
func judgingTimeOf(ctx context.Context) time.Duration {
	if until, has := ctx.Deadline(); has {
		return min(judgingTime, time.Until(until)/2)
	}
	return judgingTime
}

// sameSpec: what can't be read is taken for changed, and refused for that.
func sameSpec(old, changed []byte) bool {
	var a, b struct {
		Spec any `json:"spec"`
	}
	return utiljson.Unmarshal(old, &a) == nil && utiljson.Unmarshal(changed, &b) == nil && reflect.DeepEqual(a.Spec, b.Spec)
}

// namespacesFor are the namespaces in which a policy may meet others, as far as they are known here.
func (v *policyValidator) namespacesFor(ctx context.Context, c *policy.Compiled, ref policy.PolicyRef) []policy.Namespace {
	names := []string{ref.Namespace}
	if ref.Namespace == "" {
		names = c.NamespacesWithPolicies()
	}
	var known []policy.Namespace
	for _, name := range names {
		if labels, has := v.namespaces.Labels(ctx, name); has {
			known = append(known, policy.Namespace{Name: name, Labels: labels})
		}
	}
	return known
}

// refuse names all that is wrong at once, as the API server's own validation does. The log has paths alone: messages may quote values.
func (v *policyValidator) refuse(req *admission.Request, ref policy.PolicyRef, faults []policy.PolicyError, warnings []string) admission.Response {
	kind := kindSpawnPolicy
	if ref.Namespace == "" {
		kind = kindClusterSpawnPolicy
	}
	details := &metav1.StatusDetails{Group: v1alpha1.GroupVersion.Group, Kind: kind, Name: ref.Name}
	var sentences, fields []string
	for i, f := range faults {
		if i == maxDenials {
			sentences = append(sentences, fmt.Sprintf("and %d more", len(faults)-i))
			break
		}
		sentences = append(sentences, f.Field+": "+f.Message)
		fields = append(fields, f.Field)
		details.Causes = append(details.Causes, metav1.StatusCause{Type: metav1.CauseType(policy.PolicyInvalid), Field: f.Field, Message: f.Message})
	}
	v.log.Info("refused a policy", "uid", req.UID, "policy", ref.String(), "caller", req.UserInfo.Username, "fields", fields)
	audit := decidedBy([]policy.PolicyRef{ref})
	audit[auditReason] = string(policy.PolicyInvalid)
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{
		Result: &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Details: details,
			Message: fmt.Sprintf("Slipway %s: %s: %s", policy.PolicyInvalid, ref, strings.Join(sentences, "; ")),
		},
		AuditAnnotations: audit,
		Warnings:         warnings,
	}}
}
