package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/webhook"
)

// admissionPolicy is a ValidatingAdmissionPolicy of the chart.
type admissionPolicy struct {
	name string
	// covers are the requests that it has to be asked about, as OPERATION RESOURCE.
	covers []string
	// param is the configuration that it looks at.
	param string
	// open is what happens without it.
	open string
	// bindings are their names; nil: one that is called as the policy is.
	bindings []string
	// guard: the chart leaves it out where admission.guard is off.
	guard bool
}

// admissionPolicies are all that the chart has.
var admissionPolicies = []admissionPolicy{
	{
		name: "slipway-bindings", covers: []string{"CREATE pods/binding", "CREATE bindings"},
		open: "whoever binds a pod to a node can give it to another user",
	},
	{
		name: "slipway-claims", covers: []string{"CREATE persistentvolumeclaims", "UPDATE persistentvolumeclaims", "UPDATE persistentvolumeclaims/status"},
		open: "whoever may create claims can plant a home for another user",
	},
	{
		name: "slipway-governed-mark", covers: []string{"UPDATE namespaces", "UPDATE namespaces/status"},
		open: "whoever may change a namespace can take the mark slipway.dev/governed off",
	},
	{
		name: "slipway-governed-namespaces", covers: []string{"CREATE pods"},
		open: "pods without the hub label run in governed namespaces",
	},
	{
		name: "slipway-identity", covers: []string{"UPDATE pods", "UPDATE pods/status", "UPDATE pods/ephemeralcontainers", "UPDATE pods/resize"},
		open: "whoever may change a pod or its status can give it to another user",
	},
	{
		name: "slipway-launcher-secrets", covers: []string{"CREATE secrets", "UPDATE secrets"},
		open: "a hub that was broken into can create any Secret that its account may create",
	},
	{
		name: "slipway-launchers", covers: []string{"CREATE pods", "DELETE pods", "CREATE pods/binding", "CREATE bindings"},
		open: "a hub that was broken into can create pods that no policy sees, and delete pods that aren't servers",
	},
	{
		name: "slipway-mutating-configuration", covers: []string{"CREATE pods"}, param: webhook.ConfigurationName, guard: true,
		open: "pods of hubs run as their creators like once the fitting webhook's configuration is weakened",
	},
	{
		name: "slipway-validating-configuration", covers: []string{"CREATE pods", "UPDATE pods/ephemeralcontainers", "UPDATE pods/resize"}, param: webhook.VerifyConfigurationName, guard: true,
		open:     "fitted pods are changed unseen once the verifying webhook's configuration is weakened",
		bindings: []string{"slipway-validating-configuration", "slipway-validating-configuration-updates"},
	},
}

func lookAtAdmission(ctx context.Context, in *installation) []Finding {
	api := in.client.AdmissionregistrationV1()
	policies, err := api.ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
	if _, seen := in.looked("list validatingadmissionpolicies.admissionregistration.k8s.io", err); !seen {
		return nil
	}
	bindings, err := api.ValidatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{})
	if _, seen := in.looked("list validatingadmissionpolicybindings.admissionregistration.k8s.io", err); !seen {
		return nil
	}
	var found []Finding
	for i := range admissionPolicies {
		want := &admissionPolicies[i]
		more := slices.Concat(in.lookAtAdmissionPolicy(want, policies.Items), in.lookAtBindings(want, bindings.Items))
		if want.guard && !in.guarded(ctx) {
			more = []Finding{warning("ValidatingAdmissionPolicy "+want.name, "", "isn't there, as with the chart's value admission.guard off: "+want.open,
				"set admission.guard to true, and "+in.installAgain())}
		}
		found = append(found, more...)
	}
	return found
}

// guarded says whether any of the chart's guards is there. Where that can't be seen, they are believed to be: then more is wrong.
func (in *installation) guarded(ctx context.Context) bool {
	guarded, err := in.read.guarded.get(func() (bool, error) {
		api := in.client.AdmissionregistrationV1()
		for i := range admissionPolicies {
			guard := &admissionPolicies[i]
			if !guard.guard {
				continue
			}
			_, policyErr := api.ValidatingAdmissionPolicies().Get(ctx, guard.name, metav1.GetOptions{})
			_, bindingErr := api.ValidatingAdmissionPolicyBindings().Get(ctx, guard.name, metav1.GetOptions{})
			if !apierrors.IsNotFound(policyErr) || !apierrors.IsNotFound(bindingErr) {
				return true, nil
			}
		}
		return false, nil
	})
	return guarded || err != nil
}

func (in *installation) lookAtAdmissionPolicy(want *admissionPolicy, have []admissionregistrationv1.ValidatingAdmissionPolicy) []Finding {
	object := "ValidatingAdmissionPolicy " + want.name
	at := slices.IndexFunc(have, func(p admissionregistrationv1.ValidatingAdmissionPolicy) bool { return p.Name == want.name })
	if at < 0 {
		return []Finding{wrong(object, "", "isn't there: "+want.open, in.installAgain())}
	}
	p := &have[at]
	var found []Finding
	if f := p.Spec.FailurePolicy; f != nil && *f != admissionregistrationv1.Fail {
		found = append(found, wrong(object, "spec.failurePolicy", fmt.Sprintf("is %s, must be Fail: where an expression fails, %s", *f, want.open),
			fmt.Sprintf(`kubectl patch validatingadmissionpolicy %s --type=merge -p '{"spec":{"failurePolicy":"Fail"}}'`, want.name)))
	}
	if missing := uncovered(want.covers, p.Spec.MatchConstraints); len(missing) > 0 {
		found = append(found, wrong(object, "spec.matchConstraints", "don't cover "+some(missing)+": "+want.open, in.installAgain()))
	}
	if len(p.Spec.Validations) == 0 {
		found = append(found, wrong(object, "spec.validations", "are gone: "+want.open, in.installAgain()))
	}
	if c := p.Status.TypeChecking; c != nil {
		for _, w := range c.ExpressionWarnings {
			found = append(found, warning(object, w.FieldRef, "the API server warns: "+strings.Join(strings.Fields(w.Warning), " "), in.installAgain()))
		}
	}
	return found
}

// uncovered are the requests that constraints don't match.
func uncovered(requests []string, constraints *admissionregistrationv1.MatchResources) []string {
	var missing []string
	for _, request := range requests {
		operation, resource, _ := strings.Cut(request, " ")
		matched := constraints != nil && slices.ContainsFunc(constraints.ResourceRules, func(r admissionregistrationv1.NamedRuleWithOperations) bool {
			return len(r.ResourceNames) == 0 &&
				covers([]admissionregistrationv1.RuleWithOperations{r.RuleWithOperations}, admissionregistrationv1.OperationType(operation), "", "v1", resource)
		})
		if !matched {
			missing = append(missing, request)
		}
	}
	return missing
}

func (in *installation) lookAtBindings(want *admissionPolicy, have []admissionregistrationv1.ValidatingAdmissionPolicyBinding) []Finding {
	names := want.bindings
	if names == nil {
		names = []string{want.name}
	}
	var found []Finding
	for _, name := range names {
		object := "ValidatingAdmissionPolicyBinding " + name
		at := slices.IndexFunc(have, func(b admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool { return b.Name == name })
		if at < 0 {
			found = append(found, wrong(object, "", "isn't there, so its policy does nothing: "+want.open, in.installAgain()))
			continue
		}
		b := &have[at].Spec
		if b.PolicyName != want.name {
			found = append(found, wrong(object, "spec.policyName", "is "+b.PolicyName+", must be "+want.name+": "+want.open, in.installAgain()))
		}
		if !slices.Contains(b.ValidationActions, admissionregistrationv1.Deny) {
			found = append(found, wrong(object, "spec.validationActions", "must have Deny: now it only tells, and "+want.open,
				fmt.Sprintf(`kubectl patch validatingadmissionpolicybinding %s --type=merge -p '{"spec":{"validationActions":["Deny"]}}'`, name)))
		}
		if m := b.MatchResources; m != nil && (!isEmpty(m.NamespaceSelector) || !isEmpty(m.ObjectSelector) || len(m.ExcludeResourceRules) > 0) {
			found = append(found, wrong(object, "spec.matchResources", "lets some objects by, where "+want.open, in.installAgain()))
		}
		if want.param != "" && (b.ParamRef == nil || b.ParamRef.Name != want.param) {
			found = append(found, wrong(object, "spec.paramRef", "must name "+want.param+", the configuration to look at: "+want.open, in.installAgain()))
		}
	}
	return found
}
