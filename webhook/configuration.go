package webhook

import (
	"net"
	"strconv"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

const (
	// ConfigurationName comes first among the names of mutating configurations, which the API server calls in
	// alphabetical order: what other webhooks add must come after the pod was fitted, or it would be replaced.
	ConfigurationName = "0-slipway"
	// MutatePath is where the fitting webhook listens.
	MutatePath = "/mutate"

	mutateWebhook = "mutate.slipway.dev"
	// timeoutSeconds bounds how long a pod waits when all replicas hang.
	timeoutSeconds = 5
)

// Configuration tells the API server when to call the fitting webhook, and to refuse the pods while it can't.
func Configuration(at admissionregistrationv1.WebhookClientConfig) *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration",
		},
		ObjectMeta: metav1.ObjectMeta{Name: ConfigurationName},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:         mutateWebhook,
			ClientConfig: at,
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"},
					Scope: new(admissionregistrationv1.NamespacedScope),
				},
			}},
			ObjectSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: policy.LabelHub, Operator: metav1.LabelSelectorOpExists},
			}},
			// The control plane must be able to start while every replica is down.
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{metav1.NamespaceSystem}},
			}},
			FailurePolicy:           new(admissionregistrationv1.Fail),
			MatchPolicy:             new(admissionregistrationv1.Equivalent),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNoneOnDryRun),
			TimeoutSeconds:          new(int32(timeoutSeconds)),
			ReinvocationPolicy:      new(admissionregistrationv1.NeverReinvocationPolicy),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// AtAddress reaches one replica outside the cluster by host and port. ca is the PEM of who signed its certificate.
func AtAddress(host string, port int, ca []byte) admissionregistrationv1.WebhookClientConfig {
	url := "https://" + net.JoinHostPort(host, strconv.Itoa(port)) + MutatePath
	return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca}
}

// AtService reaches the replicas behind a Service. ca is the PEM of who signed their certificates; nil where
// somebody else, as cert-manager, fills it in.
func AtService(namespace, name string, port int32, ca []byte) admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{
		Service: &admissionregistrationv1.ServiceReference{
			Namespace: namespace, Name: name, Port: &port, Path: new(MutatePath),
		},
		CABundle: ca,
	}
}
