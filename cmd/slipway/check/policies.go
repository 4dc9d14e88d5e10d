package check

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// lookAtPolicies reads what the webhook says about policies.
func lookAtPolicies(ctx context.Context, in *installation) []Finding {
	policies, seen := in.policies(ctx)
	if !seen {
		return nil
	}
	if len(policies) == 0 {
		return []Finding{note("", "", "there is no policy, so every pod with the hub label is refused (NoPolicy)",
			"write one and try it offline: slipway render -f POLICY --user NAME; then kubectl apply -f POLICY")}
	}
	var found []Finding
	for i := range policies {
		found = append(found, in.lookAtPolicy(&policies[i])...)
	}
	return found
}

func (in *installation) lookAtPolicy(p *policyObject) []Finding {
	object, logs := p.object(), fmt.Sprintf("kubectl logs deployment/%s --namespace %s", webhookName, in.namespace)
	ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return []Finding{warning(object, "status.conditions", "are empty: no replica has read it, or none may say so", logs)}
	case p.Status.ObservedGeneration < p.Metadata.Generation:
		return []Finding{warning(object, "status.observedGeneration",
			fmt.Sprintf("is %d of %d: the last change hasn't been read", p.Status.ObservedGeneration, p.Metadata.Generation), "if that stays so: "+logs)}
	case ready.Status != metav1.ConditionTrue:
		return []Finding{wrong(object, "status.conditions[Ready]",
			fmt.Sprintf("is %s (%s), so the pods that it is for are denied: %s", ready.Status, ready.Reason, ready.Message),
			"kubectl edit "+p.kubectlName())}
	}
	enforced := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionEnforced)
	switch {
	case enforced == nil:
		return []Finding{warning(object, "status.conditions[Enforced]", "isn't there: nobody says whether every replica has read it", logs)}
	case enforced.Status != metav1.ConditionTrue:
		return []Finding{warning(object, "status.conditions[Enforced]",
			fmt.Sprintf("is %s (%s): %s", enforced.Status, enforced.Reason, enforced.Message),
			fmt.Sprintf("look again in ten seconds; if it stays: kubectl get leases --namespace %s", in.namespace))}
	}
	return nil
}
