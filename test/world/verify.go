package world

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/webhook"
)

// This file stands in for the verifying webhook: it goes when webhook has a configuration for /verify, which
// registerVerify then installs.

// registerVerify installs the validating configuration without which the chart's policies refuse every hub's pod. The webhook
// behind it isn't built yet, so its matchConditions select nothing.
func (w *World) registerVerify(ctx context.Context) error {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "slipway"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         "verify.slipway.dev",
			ClientConfig: webhook.AtAddress("127.0.0.1", w.Gate.Port, w.Gate.CA),
			Rules: []admissionregistrationv1.RuleWithOperations{
				podRule([]string{"pods"}, admissionregistrationv1.Create, admissionregistrationv1.Update),
				podRule([]string{"pods/ephemeralcontainers", "pods/resize"}, admissionregistrationv1.Update),
			},
			MatchConditions:         []admissionregistrationv1.MatchCondition{{Name: "nothing", Expression: "false"}},
			FailurePolicy:           new(admissionregistrationv1.Fail),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	_, err := w.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, configuration, metav1.CreateOptions{})
	return err
}

func podRule(resources []string, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: operations,
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: resources},
	}
}
