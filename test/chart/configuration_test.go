package chart

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/webhook"
)

func TestTheWebhookConfigurationsAreThoseOfTheCode(t *testing.T) {
	for name, c := range map[string]struct {
		values    values
		launchers []string
	}{
		"default": {nil, nil},
		"launchers": {
			values{"launcherAccounts": []any{
				map[string]any{"namespace": "jupyter", "name": "hub"}, map[string]any{"namespace": "b", "name": "hub.two"},
			}},
			[]string{"system:serviceaccount:jupyter:hub", "system:serviceaccount:b:hub.two"},
		},
		"the chart's own launcher": {
			values{"launcher": launcher(values{"clusterWide": true})},
			[]string{"system:serviceaccount:" + namespace + ":slipway-launcher"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rendered := render(t, c.values)
			at := webhook.AtService(namespace, "slipway-webhook", 443, nil)

			fit := as[admissionregistrationv1.MutatingWebhookConfiguration](t, rendered.find(t, "MutatingWebhookConfiguration", webhook.ConfigurationName))
			fit.ObjectMeta = metav1.ObjectMeta{Name: fit.Name}
			assert.Empty(t, cmp.Diff(webhook.Configuration(at), fit))

			for _, want := range []*admissionregistrationv1.ValidatingWebhookConfiguration{
				webhook.VerifyConfiguration(at, c.launchers), webhook.PolicyConfiguration(at),
			} {
				got := as[admissionregistrationv1.ValidatingWebhookConfiguration](t, rendered.find(t, "ValidatingWebhookConfiguration", want.Name))
				got.ObjectMeta = metav1.ObjectMeta{Name: got.Name}
				assert.Empty(t, cmp.Diff(want, got))
			}
		})
	}
}

// An upgrade that changes conditions gives them another name, which the guard of neither release takes for its own. The names of
// launchers don't count: the guard lets any be there.
func TestConditionsHaveTheNameByWhichTheGuardKnowsThem(t *testing.T) {
	const annotation = "slipway.dev/match-conditions"
	name := func(v values, kind, configuration string) string {
		rendered := render(t, v)
		found := rendered.find(t, kind, configuration).GetAnnotations()[annotation]
		assert.Regexp(t, `^[0-9a-f]{16}$`, found)
		guard := as[admissionregistrationv1.ValidatingAdmissionPolicy](t, rendered.find(t, "ValidatingAdmissionPolicy", map[string]string{
			webhook.ConfigurationName: "slipway-mutating-configuration", webhook.VerifyConfigurationName: "slipway-validating-configuration",
		}[configuration]))
		checks := guard.Spec.Variables[len(guard.Spec.Variables)-1].Expression
		assert.Equal(t, 1, strings.Count(checks, "[?'"+annotation+"'].orValue('"+found+"') != '"+found+"'"), checks)
		return found
	}
	one := []any{values{"name": "a", "expression": "true"}}
	launcher := values{"launcherAccounts": []any{values{"namespace": "a", "name": "b"}}}
	for _, c := range []struct{ kind, name, value string }{
		{"MutatingWebhookConfiguration", webhook.ConfigurationName, "mutate"},
		{"ValidatingWebhookConfiguration", webhook.VerifyConfigurationName, "verify"},
	} {
		usual := name(nil, c.kind, c.name)
		assert.Equal(t, usual, name(launcher, c.kind, c.name))
		assert.NotEqual(t, usual, name(values{"admission": values{c.value: values{"matchConditions": one}}}, c.kind, c.name))
		injected := render(t, values{"certificates": values{"mode": "certManager"}}).find(t, c.kind, c.name).GetAnnotations()
		assert.Equal(t, map[string]string{annotation: usual, "cert-manager.io/inject-ca-from-secret": namespace + "/slipway-webhook-ca"}, injected)
	}
	injected := render(t, values{"certificates": values{"mode": "certManager"}}).find(t, "ValidatingWebhookConfiguration", webhook.PolicyConfigurationName)
	assert.Equal(t, map[string]string{"cert-manager.io/inject-ca-from-secret": namespace + "/slipway-webhook-ca"}, injected.GetAnnotations())
}
