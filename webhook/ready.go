package webhook

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const (
	// maxErrors is how many errors of a policy its status names; they are mended one after the other anyway.
	maxErrors = 3
	// maxError bounds one of them, in bytes, and so the whole message to 1024.
	maxError = 300
)

// verdict is what a replica makes of one generation of a policy by itself.
type verdict struct {
	// ready has no time of transition.
	ready metav1.Condition
	// profiles is nil where the policy can't be read.
	profiles *int32
}

// denies says what an invalid policy does.
func denies(object *unstructured.Unstructured) string {
	if policy.SaysAudit(object) {
		return "Would deny, if it were enforced,"
	}
	return "Denies"
}

// verdictsOf judges the policies that a set was made of, by uid. The messages may quote them: whoever reads a policy's
// status reads the policy.
func verdictsOf(objects []unstructured.Unstructured, set *policySet) map[types.UID]verdict {
	invalid := map[policy.PolicyRef][]string{}
	for _, e := range set.compiled.Errors() {
		invalid[e.Policy] = append(invalid[e.Policy], e.Field+": "+e.Message)
	}
	unreadable := map[policy.PolicyRef]policy.Denial{}
	for _, d := range slices.Concat(set.unreadable.Enforced, set.unreadable.Audited) {
		unreadable[*d.Policy] = d
	}
	verdicts := make(map[types.UID]verdict, len(objects))
	for i := range objects {
		object := &objects[i]
		ref := policy.RefOf(object)
		v := verdict{
			ready: metav1.Condition{
				Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: ref.Generation,
				Reason: v1alpha1.ReasonValid, Message: "Nothing is wrong with this policy by itself.",
			},
			profiles: profilesIn(object),
		}
		if errs := invalid[ref]; len(errs) > 0 {
			v.ready.Status, v.ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonInvalid
			v.ready.Message = denies(object) + " the pods that it matches: " + firstOf(errs)
		}
		if d, is := unreadable[ref]; is {
			v.ready.Status, v.ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonUnreadable
			v.ready.Message = denies(object) + " every pod that it could be for: " + firstOf([]string{d.Field + ": " + d.Message})
			v.profiles = nil
		}
		verdicts[object.GetUID()] = v
	}
	return verdicts
}

// firstOf names the first errors, and how many more there are, in one line.
func firstOf(errs []string) string {
	shown := make([]string, 0, maxErrors+1)
	for _, e := range errs[:min(len(errs), maxErrors)] {
		shown = append(shown, cut(strings.Join(strings.Fields(e), " "), maxError))
	}
	if more := len(errs) - maxErrors; more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(shown, "; ")
}

// profilesIn counts the profiles of a policy, without reading them.
func profilesIn(object *unstructured.Unstructured) *int32 {
	profiles, _, err := unstructured.NestedFieldNoCopy(object.Object, "spec", "profiles")
	if err != nil {
		return nil
	}
	list, _ := profiles.([]any) // the schema has it so, and at most 256; nothing is none
	return new(int32(len(list)))
}
