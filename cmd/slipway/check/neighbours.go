package check

import (
	"context"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/webhook"
)

// lookAtNeighbours looks for other mutating webhooks that come before ours, and for configurations of a second release.
func lookAtNeighbours(ctx context.Context, in *installation) []Finding {
	all, seen := in.seeConfigurations(ctx)
	if !seen {
		return nil
	}
	ours := in.serviceOfWebhook(ctx)
	var found []Finding
	for _, c := range all.others {
		for i := range c.webhooks {
			h := &c.webhooks[i]
			path := fmt.Sprintf("webhooks[%d]", i)
			if isOurs(h, ours) {
				found = append(found, wrong(c.object(), path, "is "+h.Name+" of a second release, which fits the same pods by another version or other rights",
					fmt.Sprintf("uninstall the release that shouldn't be there, or kubectl delete %s %s", strings.ToLower(c.kind), c.name)))
				continue
			}
			if c.kind == "MutatingWebhookConfiguration" && c.name < webhook.ConfigurationName && takesSkeletons(h) {
				found = append(found, comesBefore(c, i))
			}
		}
	}
	return found
}

// isOurs says whether a webhook is Slipway's by its name or by whom it calls.
func isOurs(h *hook, ours *serviceReference) bool {
	if strings.HasSuffix(h.Name, ".slipway.dev") {
		return true
	}
	s := h.ClientConfig.Service
	return s != nil && ours != nil && s.Namespace == ours.namespace && s.Name == ours.name
}

// takesSkeletons says whether a webhook may be asked about a hub's pod before it is fitted, which has few labels.
func takesSkeletons(h *hook) bool {
	if !covers(h.Rules, admissionregistrationv1.Create, "", "v1", "pods") {
		return false
	}
	if h.ObjectSelector == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(h.ObjectSelector)
	return err == nil && selector.Matches(labels.Set{policy.LabelHub: "main", policy.LabelUsername: "alice"})
}

// comesBefore: one that is asked again afterwards can put back what policy replaced.
func comesBefore(c *configuration, at int) Finding {
	h, path := &c.webhooks[at], fmt.Sprintf("webhooks[%d]", at)
	if r := h.ReinvocationPolicy; r != nil && *r == admissionregistrationv1.IfNeededReinvocationPolicy {
		return note(c.object(), path, h.Name+" comes before the fitting webhook; what it sets in a hub's pod is replaced, and set once more when it is asked again",
			"")
	}
	return warning(c.object(), path, h.Name+" comes before the fitting webhook, so what it sets in a hub's pod is replaced",
		fmt.Sprintf(`rename its configuration to come after %s, or ask it again: kubectl patch %s %s --type=json -p '[{"op":"add","path":"/webhooks/%d/reinvocationPolicy","value":"IfNeeded"}]'`,
			webhook.ConfigurationName, strings.ToLower(c.kind), c.name, at))
}
