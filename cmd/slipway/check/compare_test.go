package check

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/webhook"
)

// fitting is the fitting webhook after a change.
func fitting(change func(h *hook)) *configuration {
	h := webhook.Configuration(webhook.AtService("slipway-system", "slipway-webhook", 443, []byte("CA"))).Webhooks[0]
	change(&h)
	return &configuration{kind: "MutatingWebhookConfiguration", name: webhook.ConfigurationName, webhooks: []hook{h}}
}

func TestEachFieldOfAWebhookIsCompared(t *testing.T) {
	elsewhere := "/elsewhere"
	named := func(operator metav1.LabelSelectorOperator) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "kubernetes.io/metadata.name", Operator: operator, Values: []string{"kube-system"}},
		}}
	}
	for name, test := range map[string]struct {
		change   func(h *hook)
		guarded  bool
		severity Severity
		field    string
		mend     string
	}{
		"failures ignored, and guarded":   {func(h *hook) { h.FailurePolicy = new(admissionregistrationv1.Ignore) }, true, Wrong, "failurePolicy", `"value":"Fail"`},
		"failures ignored, by the values": {func(h *hook) { h.FailurePolicy = new(admissionregistrationv1.Ignore) }, false, Warning, "failurePolicy", `"value":"Fail"`},
		"no rules":                        {func(h *hook) { h.Rules = nil }, false, Wrong, "rules", `"path":"/webhooks/0/rules"`},
		"rules for everything":            {func(h *hook) { h.Rules[0] = everything }, true, Warning, "rules", `"path":"/webhooks/0/rules"`},
		"a path where nobody listens":     {func(h *hook) { h.ClientConfig.Service.Path = &elsewhere }, false, Wrong, "clientConfig.service.path", `"path":"/webhooks/0/clientConfig/service/path","value":"/mutate"`},
		"a url where nobody listens":      {func(h *hook) { h.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &elsewhere} }, false, Wrong, "clientConfig.url", ""},
		"no objectSelector":               {func(h *hook) { h.ObjectSelector = nil }, true, Warning, "objectSelector", `"operator":"Exists"`},
		"namespaces left out by name":     {func(h *hook) { h.NamespaceSelector = named(metav1.LabelSelectorOpNotIn) }, true, Warning, "namespaceSelector", `"value":{}`},
		"all namespaces but one left out": {func(h *hook) { h.NamespaceSelector = named(metav1.LabelSelectorOpIn) }, true, Wrong, "namespaceSelector", `"value":{}`},
		"a condition that was added": {func(h *hook) {
			h.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "x", Expression: "true"}}
		}, true, Warning, "matchConditions", `"value":[]`},
		"no dry runs":                       {func(h *hook) { h.SideEffects = new(admissionregistrationv1.SideEffectClassSome) }, true, Warning, "sideEffects", `"value":"NoneOnDryRun"`},
		"asked again":                       {func(h *hook) { h.ReinvocationPolicy = new(admissionregistrationv1.IfNeededReinvocationPolicy) }, true, Warning, "reinvocationPolicy", `"value":"Never"`},
		"only this version":                 {func(h *hook) { h.MatchPolicy = new(admissionregistrationv1.Exact) }, true, Warning, "matchPolicy", `"value":"Equivalent"`},
		"a review that it doesn't speak":    {func(h *hook) { h.AdmissionReviewVersions = []string{"v1beta1"} }, true, Wrong, "admissionReviewVersions", `"value":["v1"]`},
		"hardly any time":                   {func(h *hook) { h.TimeoutSeconds = new(int32(1)) }, true, Warning, "timeoutSeconds", `"value":5`},
		"far too much time":                 {func(h *hook) { h.TimeoutSeconds = new(int32(30)) }, true, Warning, "timeoutSeconds", `"value":5`},
		"another name":                      {func(h *hook) { h.Name = "other" }, true, Wrong, "webhooks", "helm upgrade"},
		"a little more time, by the values": {func(h *hook) { h.TimeoutSeconds = new(int32(8)) }, true, "", "", ""},
		"nothing":                           {func(*hook) {}, true, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := &installation{namespace: "slipway-system", release: "slipway"}
			in.read.guarded = memo[bool]{done: true, value: test.guarded}
			found := in.compare(t.Context(), fitting(test.change), &webhook.Configuration(webhook.Endpoint{}).Webhooks[0], fits)
			if test.severity == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Equal(t, test.severity, found[0].Severity, found[0].Message)
			assert.Contains(t, found[0].Field, test.field)
			assert.Contains(t, found[0].Mend, test.mend)
		})
	}
}

var everything = admissionregistrationv1.RuleWithOperations{
	Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
	Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
}

func TestConditionsOfTheVerifyingWebhookAreThoseOfThisVersion(t *testing.T) {
	launchers := []string{"system:serviceaccount:a:b", "system:serviceaccount:c:d"}
	conditions := webhook.VerifyConfiguration(webhook.Endpoint{}, launchers).Webhooks[0].MatchConditions
	listed, has := accountsOf(conditions[0].Expression)
	assert.True(t, has)
	assert.Equal(t, launchers, listed)
	_, has = accountsOf("true")
	assert.False(t, has)

	want := &hook{MatchConditions: conditions}
	folded := &hook{MatchConditions: []admissionregistrationv1.MatchCondition{
		{Name: conditions[0].Name, Expression: "  " + conditions[0].Expression + "\n"}, conditions[1],
	}}
	assert.Empty(t, compareConditions(want, folded, verifies))
	changed := &hook{MatchConditions: []admissionregistrationv1.MatchCondition{{Name: conditions[0].Name, Expression: "false"}}}
	found := compareConditions(want, changed, verifies)
	require.Len(t, found, 2)
	assert.Equal(t, Wrong, found[0].severity, "it lets pods by")
	assert.Equal(t, Warning, found[1].severity, "it asks about more")
}

func TestRulesCover(t *testing.T) {
	rule := func(resources ...string) []admissionregistrationv1.RuleWithOperations {
		r := everything
		r.Resources = resources
		return []admissionregistrationv1.RuleWithOperations{r}
	}
	for _, test := range []struct {
		resource string
		rules    []admissionregistrationv1.RuleWithOperations
		covered  bool
	}{
		{"pods", rule("pods"), true},
		{"pods", rule("*"), true},
		{"pods", rule("*/*"), true},
		{"pods", rule("pods/*"), false},
		{"pods", rule("pods/status"), false},
		{"pods", nil, false},
		{"pods/resize", rule("*"), false},
		{"pods/resize", rule("pods/*"), true},
		{"pods/resize", rule("*/resize"), true},
		{"pods/resize", rule("pods"), false},
	} {
		assert.Equal(t, test.covered, covers(test.rules, admissionregistrationv1.Update, "", "v1", test.resource), "%s by %+v", test.resource, test.rules)
	}
}
