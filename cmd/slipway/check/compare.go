package check

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/webhook"
)

// role is what a webhook is there for.
type role struct {
	// path is where it listens.
	path string
	// missed is what happens to what it isn't asked about.
	missed string
	// failOpen: a cluster may go on while it is down.
	failOpen bool
}

var (
	fits     = role{webhook.MutatePath, "a hub's pod isn't fitted, and is refused or runs as its creator likes", false}
	verifies = role{webhook.VerifyPath, "what is done to a fitted pod isn't seen", false}
	judges   = role{webhook.ValidatePolicyPath, "an invalid policy is stored, and stops every server that it is for", true}
)

// difference is one field of a webhook that isn't as it has to be. Without a value, the field has to go.
type difference struct {
	severity       Severity
	field, message string
	value          any
	// chosen: the chart's values can have it so, with admission.guard off.
	chosen bool
}

// compare says what is wrong with a configuration of one webhook.
func (in *installation) compare(ctx context.Context, c *configuration, want *hook, as role) []Finding {
	at := slices.IndexFunc(c.webhooks, func(h hook) bool { return h.Name == want.Name })
	if at < 0 {
		return []Finding{wrong(c.object(), "webhooks", "has no webhook "+want.Name+", so "+as.missed, in.installAgain())}
	}
	have := &c.webhooks[at]
	var differences []difference
	for _, look := range []func(want, have *hook, as role) []difference{
		compareClient, compareRules, compareSelectors, compareConditions, compareManner,
	} {
		differences = append(differences, look(want, have, as)...)
	}
	path := fmt.Sprintf("webhooks[%d]", at)
	var found []Finding
	for _, d := range differences {
		if d.chosen && d.severity == Wrong && !in.guarded(ctx) {
			d.severity = Warning
		}
		found = append(found, Finding{
			Severity: d.severity, Object: c.object(), Field: path + "." + d.field, Message: d.message, Mend: in.mend(c, at, &d),
		})
	}
	for i := range c.webhooks {
		if i != at {
			found = append(found, warning(c.object(), fmt.Sprintf("webhooks[%d]", i), "is "+c.webhooks[i].Name+", which isn't ours", in.installAgain()))
		}
	}
	return found
}

// mend is a patch, since an upgrade leaves alone what was added beside the chart. A long one nobody would paste.
func (in *installation) mend(c *configuration, at int, d *difference) string {
	const long = 200
	path := fmt.Sprintf("/webhooks/%d/%s", at, strings.ReplaceAll(d.field, ".", "/"))
	operation := map[string]any{"op": "remove", "path": path}
	if d.value != nil {
		operation = map[string]any{"op": "add", "path": path, "value": d.value}
	}
	patch, err := json.Marshal([]any{operation})
	if err != nil || len(patch) > long || strings.Contains(string(patch), "'") {
		return in.installAgain()
	}
	return fmt.Sprintf("kubectl patch %s %s --type=json -p '%s'", strings.ToLower(c.kind), c.name, patch)
}

func compareClient(_, have *hook, as role) []difference {
	path := as.path
	switch {
	case have.ClientConfig.Service == nil && have.ClientConfig.URL == nil:
		return []difference{{Wrong, "clientConfig", "names neither a service nor a url", nil, false}}
	case have.ClientConfig.Service == nil:
		if !strings.HasSuffix(*have.ClientConfig.URL, path) {
			return []difference{{Wrong, "clientConfig.url", "is " + *have.ClientConfig.URL + ", must end with " + path, nil, false}}
		}
	case have.ClientConfig.Service.Path == nil || *have.ClientConfig.Service.Path != path:
		return []difference{{Wrong, "clientConfig.service.path", "must be " + path + ", where this webhook listens", path, false}}
	}
	return nil
}

func compareRules(want, have *hook, as role) []difference {
	var missing []string
	for _, r := range want.Rules {
		for _, resource := range r.Resources {
			for _, operation := range r.Operations {
				if !covers(have.Rules, operation, r.APIGroups[0], r.APIVersions[0], resource) {
					missing = append(missing, string(operation)+" "+resource)
				}
			}
		}
	}
	if len(missing) > 0 {
		return []difference{{Wrong, "rules", "don't cover " + strings.Join(missing, ", ") + ", so " + as.missed, want.Rules, false}}
	}
	if !apiequality.Semantic.DeepEqual(want.Rules, have.Rules) && covers(have.Rules, admissionregistrationv1.Delete, "", "v1", "configmaps") {
		return []difference{{Warning, "rules", "cover everything, so the whole cluster stands still while the webhook is down", want.Rules, false}}
	}
	return nil
}

// covers says whether rules match an operation on a resource of a version.
func covers(rules []admissionregistrationv1.RuleWithOperations, operation admissionregistrationv1.OperationType, group, version, resource string) bool {
	parent, sub, _ := strings.Cut(resource, "/")
	return slices.ContainsFunc(rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return (slices.Contains(r.Operations, operation) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
			(slices.Contains(r.APIGroups, group) || slices.Contains(r.APIGroups, "*")) &&
			(slices.Contains(r.APIVersions, version) || slices.Contains(r.APIVersions, "*")) &&
			(r.Scope == nil || *r.Scope != admissionregistrationv1.ClusterScope) &&
			slices.ContainsFunc(r.Resources, func(one string) bool {
				return one == resource || one == "*/*" || one == "*" && sub == "" || one == parent+"/*" && sub != "" || one == "*/"+sub && sub != ""
			})
	})
}

func compareSelectors(want, have *hook, as role) []difference {
	var found []difference
	if !apiequality.Semantic.DeepEqual(selectorOf(want.ObjectSelector), selectorOf(have.ObjectSelector)) {
		d := difference{Wrong, "objectSelector", "lets pods by (" + metav1.FormatLabelSelector(have.ObjectSelector) + "), so " + as.missed, selectorOf(want.ObjectSelector), true}
		if isEmpty(have.ObjectSelector) {
			d.severity, d.message = Warning, "is gone, so every pod of the cluster waits for the webhook, and is refused while it is down; must be an Exists of "+policy.LabelHub
		}
		found = append(found, d)
	}
	if !isEmpty(have.NamespaceSelector) {
		d := difference{Wrong, "namespaceSelector", "lets namespaces by (" + metav1.FormatLabelSelector(have.NamespaceSelector) + "), where " + as.missed, metav1.LabelSelector{}, true}
		if names, only := exempted(have.NamespaceSelector); only {
			d.severity, d.message = Warning, "lets "+some(names)+" by: a hub's pods are refused there"
		}
		found = append(found, d)
	}
	return found
}

func selectorOf(s *metav1.LabelSelector) metav1.LabelSelector {
	if s == nil {
		return metav1.LabelSelector{}
	}
	return *s
}

func isEmpty(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// exempted are the namespaces that a selector lets by, where it says them by name and says nothing else.
func exempted(s *metav1.LabelSelector) ([]string, bool) {
	var names []string
	for _, e := range s.MatchExpressions {
		if e.Key != "kubernetes.io/metadata.name" || e.Operator != metav1.LabelSelectorOpNotIn {
			return nil, false
		}
		names = append(names, e.Values...)
	}
	return names, len(s.MatchLabels) == 0
}

func compareConditions(want, have *hook, as role) []difference {
	var found []difference
	for _, w := range want.MatchConditions {
		at := slices.IndexFunc(have.MatchConditions, func(m admissionregistrationv1.MatchCondition) bool { return m.Name == w.Name })
		switch {
		case at < 0:
			found = append(found, difference{Warning, "matchConditions", "has no " + w.Name + " any more: more is asked than has to be, and waits for the webhook", want.MatchConditions, false})
		case spaceless(have.MatchConditions[at].Expression) != spaceless(w.Expression):
			found = append(found, difference{Wrong, "matchConditions", w.Name + " isn't what was installed: where it is false, " + as.missed, want.MatchConditions, false})
		}
	}
	for _, h := range have.MatchConditions {
		if slices.ContainsFunc(want.MatchConditions, func(m admissionregistrationv1.MatchCondition) bool { return m.Name == h.Name }) {
			continue
		}
		d := difference{Warning, "matchConditions", h.Name + " was added: where it is false, " + as.missed, want.MatchConditions, true}
		if len(want.MatchConditions) == 0 {
			d.value = []admissionregistrationv1.MatchCondition{}
		}
		found = append(found, d)
	}
	return found
}

// spaceless: YAML folds lines.
func spaceless(expression string) string { return strings.Join(strings.Fields(expression), "") }
