package webhook

import (
	"net"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const (
	// ConfigurationName comes first among the names of mutating configurations, which the API server calls in
	// alphabetical order: what other webhooks add must come after the pod was fitted, or it would be replaced.
	ConfigurationName = "0-slipway"
	// VerifyConfigurationName is that of the validating configuration; these are all called at once.
	VerifyConfigurationName = "slipway"
	// MutatePath is where the fitting webhook listens.
	MutatePath = "/mutate"
	// VerifyPath is where the verifying webhook listens.
	VerifyPath = "/verify"

	// PolicyConfigurationName is that of the validating configuration for policies.
	PolicyConfigurationName = "slipway-policy"
	// ValidatePolicyPath is where the webhook listens that judges policies.
	ValidatePolicyPath = "/validate-policy"

	mutateWebhook = "mutate.slipway.dev"
	verifyWebhook = "verify.slipway.dev"
	policyWebhook = "policy.slipway.dev"
	// timeoutSeconds bounds how long a pod waits when all replicas hang.
	timeoutSeconds = 5
	// policyTimeoutSeconds leaves time to try what a policy offers.
	policyTimeoutSeconds = 10
)

// Endpoint is how the API server reaches the replicas.
type Endpoint struct {
	// URL is https://HOST:PORT, for a replica outside the cluster; or Service is the one before the replicas.
	URL     string
	Service *admissionregistrationv1.ServiceReference
	// CA is the PEM of who signed the certificate; nil where somebody else, as cert-manager, fills it in.
	CA []byte
}

// AtAddress reaches one replica outside the cluster by host and port.
func AtAddress(host string, port int, ca []byte) Endpoint {
	return Endpoint{URL: "https://" + net.JoinHostPort(host, strconv.Itoa(port)), CA: ca}
}

// AtService reaches the replicas behind a Service.
func AtService(namespace, name string, port int32, ca []byte) Endpoint {
	return Endpoint{Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: name, Port: &port}, CA: ca}
}

func (e Endpoint) client(path string) admissionregistrationv1.WebhookClientConfig {
	config := admissionregistrationv1.WebhookClientConfig{CABundle: e.CA}
	if e.Service != nil {
		config.Service = e.Service.DeepCopy()
		config.Service.Path = &path
		return config
	}
	url := e.URL + path
	config.URL = &url
	return config
}

// Configuration tells the API server when to call the fitting webhook, and to refuse the pods while it can't. It knows no
// exempt namespace: a hub-labelled pod that nobody fits would be one that nobody governs.
func Configuration(at Endpoint) *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration",
		},
		ObjectMeta: metav1.ObjectMeta{Name: ConfigurationName},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:         mutateWebhook,
			ClientConfig: at.client(MutatePath),
			Rules:        []admissionregistrationv1.RuleWithOperations{rule("pods", admissionregistrationv1.Create)},
			ObjectSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: policy.LabelHub, Operator: metav1.LabelSelectorOpExists},
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

func rule(resource string, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: operations,
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource},
			Scope: new(admissionregistrationv1.NamespacedScope),
		},
	}
}

// VerifyConfiguration tells the API server when to call the verifying webhook. launchers are the user names of the
// accounts that launch servers: whatever pod they create is looked at.
//
// It selects by conditions alone, without an objectSelector, which would be ANDed: a pod whose label somebody took away
// must not escape. Every optional field is read by ?, since an error in a condition refuses every pod of the cluster.
func VerifyConfiguration(at Endpoint, launchers []string) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration",
		},
		ObjectMeta: metav1.ObjectMeta{Name: VerifyConfigurationName},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         verifyWebhook,
			ClientConfig: at.client(VerifyPath),
			Rules: []admissionregistrationv1.RuleWithOperations{
				rule("pods", admissionregistrationv1.Create, admissionregistrationv1.Update),
				rule("pods/"+string(policy.EphemeralContainers), admissionregistrationv1.Update),
				rule("pods/"+string(policy.Resize), admissionregistrationv1.Update),
			},
			MatchConditions: []admissionregistrationv1.MatchCondition{
				{Name: "governed-or-by-a-launcher", Expression: governedOrBy(launchers)},
				{Name: "changes-what-is-governed", Expression: changesWhatIsGoverned},
			},
			FailurePolicy:           new(admissionregistrationv1.Fail),
			MatchPolicy:             new(admissionregistrationv1.Equivalent),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNoneOnDryRun),
			TimeoutSeconds:          new(int32(timeoutSeconds)),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// PolicyConfiguration tells the API server to have policies judged before it stores them, and to refuse them while nobody can: an
// invalid one would stop every server that it is for. Status and deletion aren't asked about.
func PolicyConfiguration(at Endpoint) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration",
		},
		ObjectMeta: metav1.ObjectMeta{Name: PolicyConfigurationName},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         policyWebhook,
			ClientConfig: at.client(ValidatePolicyPath),
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{v1alpha1.GroupVersion.Version},
					Resources: []string{"spawnpolicies", "clusterspawnpolicies"}, Scope: new(admissionregistrationv1.AllScopes),
				},
			}},
			// Labels, annotations and finalizers change while we are down.
			MatchConditions: []admissionregistrationv1.MatchCondition{
				{Name: "changes-the-spec", Expression: "request.operation != 'UPDATE' || object.?spec.orValue({}) != oldObject.?spec.orValue({})"},
			},
			FailurePolicy:           new(admissionregistrationv1.Fail),
			MatchPolicy:             new(admissionregistrationv1.Equivalent),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          new(int32(policyTimeoutSeconds)),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// governedOrBy: the hub label or our annotation, now or before, or an account that launches. The annotation counts since a
// later webhook could take the label away, and since copies of a pod keep it.
func governedOrBy(launchers []string) string {
	names := make([]string, 0, len(launchers))
	for _, name := range launchers {
		names = append(names, strconv.Quote(name))
	}
	return `'` + policy.LabelHub + `' in object.metadata.?labels.orValue({}) ||
'` + policy.AnnotationApplied + `' in object.metadata.?annotations.orValue({}) ||
(oldObject != null && ('` + policy.LabelHub + `' in oldObject.metadata.?labels.orValue({}) ||
'` + policy.AnnotationApplied + `' in oldObject.metadata.?annotations.orValue({}))) ||
request.userInfo.username in [` + strings.Join(names, ", ") + `]`
}

// changesWhatIsGoverned lets an update pass that is none of our business: it isn't even asked about, and so works while every
// replica is down. What is governed among the annotations are our keys and KubeSpawner's, and those that our annotation
// names.
const changesWhatIsGoverned = `request.operation != 'UPDATE' || request.?subResource.orValue('') != '' ||
object.spec != oldObject.spec ||
object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) ||
object.metadata.?ownerReferences.orValue([]) != oldObject.metadata.?ownerReferences.orValue([]) ||
!object.metadata.?annotations.orValue({}).all(k,
  (k in oldObject.metadata.?annotations.orValue({}) && oldObject.metadata.annotations[k] == object.metadata.annotations[k]) ||
  !(k.startsWith('slipway.dev/') || k.startsWith('hub.jupyter.org/') ||
    oldObject.metadata.?annotations[?'` + policy.AnnotationApplied + `'].orValue('').contains('"' + k + '"'))) ||
!oldObject.metadata.?annotations.orValue({}).all(k,
  k in object.metadata.?annotations.orValue({}) ||
  !(k.startsWith('slipway.dev/') || k.startsWith('hub.jupyter.org/') ||
    oldObject.metadata.?annotations[?'` + policy.AnnotationApplied + `'].orValue('').contains('"' + k + '"')))`
