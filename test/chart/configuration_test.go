package chart

import (
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
			values{"launcher": values{"enabled": true, "clusterWide": true}},
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
