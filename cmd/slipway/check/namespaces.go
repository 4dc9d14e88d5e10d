package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// lookAtNamespaces looks for those that hubs use without the second switch, and for those that no policy is for.
func lookAtNamespaces(ctx context.Context, in *installation) []Finding {
	if _, seen := in.namespaces(ctx); !seen {
		return nil
	}
	var unmarked []string
	var found []Finding
	pods, _ := in.pods(ctx)
	policies, policiesSeen := in.policies(ctx)
	for _, n := range in.used(ctx) {
		if !n.governed() {
			unmarked = append(unmarked, n.name)
		}
		if !policiesSeen || slices.ContainsFunc(policies, func(p policyObject) bool { return p.isFor(in, &n) }) {
			continue
		}
		running := 0
		for i := range pods {
			if pods[i].namespace == n.name {
				running++
			}
		}
		object, mend := "Namespace "+n.name, "write a SpawnPolicy there, or label it as a ClusterSpawnPolicy selects: kubectl get clusterspawnpolicies -o yaml"
		if running > 0 {
			found = append(found, warning(object, "", fmt.Sprintf("has %s of hubs but no policy, so new ones are refused (NoPolicy)", plural(running, "pod")), mend))
		} else {
			found = append(found, note(object, "", "has the mark "+labelGoverned+" but no policy, so no server can start there (NoPolicy)", mend))
		}
	}
	if len(unmarked) > 0 {
		found = append(found, note("Namespace "+some(unmarked), "metadata.labels["+labelGoverned+"]",
			"isn't true, so whoever may create pods there runs one outside policy by leaving the hub label out",
			fmt.Sprintf("kubectl label namespace %s %s=true (pods that aren't a hub's will be refused there)", strings.Join(unmarked, " "), labelGoverned)))
	}
	return found
}

// lookAtPods looks for those that nobody fitted: they were created while no webhook was asked, or carry the label by somebody's hand.
func lookAtPods(ctx context.Context, in *installation) []Finding {
	pods, seen := in.pods(ctx)
	if !seen {
		return nil
	}
	bare := map[string][]string{}
	var order []string
	for _, p := range pods {
		if p.fitted {
			continue
		}
		if bare[p.namespace] == nil {
			order = append(order, p.namespace)
		}
		bare[p.namespace] = append(bare[p.namespace], p.name)
	}
	slices.Sort(order)
	var found []Finding
	for _, namespace := range order {
		names := bare[namespace]
		const field = "metadata.annotations[slipway.dev/applied]"
		if in.onlyAudited(ctx, namespace) {
			found = append(found, note("Pods in "+namespace, field, fmt.Sprintf("is missing on %s (%s): policies for them only audit", plural(len(names), "pod"), some(names)), ""))
			continue
		}
		found = append(found, wrong("Pods in "+namespace, field,
			fmt.Sprintf("is missing on %s of hubs (%s): no policy made them what they are", plural(len(names), "pod"), some(names)),
			fmt.Sprintf("stop these servers and start them again: kubectl delete pods --namespace %s %s", namespace, argumentsOf(names))))
	}
	return found
}

// onlyAudited says whether all policies for a namespace leave its pods as they are.
func (in *installation) onlyAudited(ctx context.Context, namespace string) bool {
	before := in.unseen
	policies, seen := in.policies(ctx)
	all, alsoSeen := in.namespaces(ctx)
	in.unseen = before // it only makes a finding milder
	at := slices.IndexFunc(all, func(n namespaceObject) bool { return n.name == namespace })
	if !seen || !alsoSeen || at < 0 {
		return false
	}
	audited := false
	for i := range policies {
		if !policies[i].isFor(in, &all[at]) {
			continue
		}
		if policies[i].Spec.Enforcement != v1alpha1.Audit {
			return false
		}
		audited = true
	}
	return audited
}
