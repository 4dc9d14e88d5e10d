package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/webhook"
)

// probe is the name of everything that is tried.
const probe = "slipway-check"

// lookAtAnswers has the API server ask each webhook, by dry runs: no other way shows that it can reach them and trusts them.
func lookAtAnswers(ctx context.Context, in *installation) []Finding {
	all, seen := in.seeConfigurations(ctx)
	if !seen {
		return nil
	}
	if all.fitting == nil && all.verifying == nil && all.policy == nil {
		return []Finding{note("", "", "there is no configuration by which the API server could ask a webhook", "")}
	}
	namespace := in.probeNamespace(ctx, all)
	var found []Finding
	// One after the other: where the first isn't reached, the others would say the same once more.
	if all.fitting != nil {
		_, err := launcher.Launch(ctx, in.client, policy.Identity{Name: probe, Hub: probe, User: probe}, namespace, launcher.Options{DryRun: true})
		found = append(found, in.judgeAnswer(answer{all.fitting, "create pods in namespace " + namespace, mutateWebhook, err})...)
	}
	if all.verifying != nil && len(found) == 0 {
		// In a governed namespace an admission policy refuses such a pod before.
		_, err := in.client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, unlabelled(metav1.NamespaceDefault), dryRun)
		found = append(found, in.judgeAnswer(answer{all.verifying, "create pods in namespace " + metav1.NamespaceDefault, verifyWebhook, err})...)
	}
	if all.policy != nil && len(found) == 0 {
		_, err := in.dynamic.Resource(v1alpha1.GroupVersion.WithResource("spawnpolicies")).Namespace(namespace).Create(ctx, brokenPolicy(), dryRun)
		found = append(found, in.judgeAnswer(answer{all.policy, "create spawnpolicies.slipway.dev in namespace " + namespace, policyWebhook, err})...)
	}
	return found
}

// The webhooks' names, by which the API server tells who refused.
var (
	mutateWebhook = webhook.Configuration(webhook.Endpoint{}).Webhooks[0].Name
	verifyWebhook = webhook.VerifyConfiguration(webhook.Endpoint{}, nil).Webhooks[0].Name
	policyWebhook = webhook.PolicyConfiguration(webhook.Endpoint{}).Webhooks[0].Name
)

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

// probeNamespace is one that hubs use, if there is any; never one that the webhook isn't asked about.
func (in *installation) probeNamespace(ctx context.Context, all *configurations) string {
	var exempt []string
	if all.fitting != nil && len(all.fitting.webhooks) > 0 && all.fitting.webhooks[0].NamespaceSelector != nil {
		exempt, _ = exempted(all.fitting.webhooks[0].NamespaceSelector)
	}
	seenBefore := in.unseen
	namespaces := in.used(ctx)
	in.unseen = seenBefore // any namespace will do
	for i := range namespaces {
		if n := &namespaces[i]; !n.deleting && !slices.Contains(exempt, n.name) {
			return n.name
		}
	}
	return metav1.NamespaceDefault
}

// unlabelled is a pod that only the verifying webhook is asked about, and must refuse: one that policy seems to have fitted and that
// somebody took the label from. It meets the strictest Pod Security Standard, which is looked at before.
func unlabelled(namespace string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: probe, Namespace: namespace, Annotations: map[string]string{policy.AnnotationApplied: "{}"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: policy.NotebookContainer, Image: "none",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	return pod
}

// brokenPolicy gets past the schema, and must be refused by the webhook.
func brokenPolicy() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"defaults": map[string]any{"workingDir": "{no_such_field}"}},
	}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("SpawnPolicy"))
	object.SetName(probe)
	return object
}

// answer is what the API server said to a dry run that a webhook had to be asked about.
type answer struct {
	configuration *configuration
	// right is what the dry run needs.
	right string
	// webhook is the name of the one to be asked.
	webhook string
	err     error
}

// judgeAnswer reads the API server's words. Whatever the webhook decided, that it did is what counts.
func (in *installation) judgeAnswer(a answer) []Finding {
	object, name := a.configuration.object(), a.webhook
	switch text := errorText(a.err); {
	case a.err == nil && name == mutateWebhook:
		return nil // without an image it wasn't valid, so it was fitted
	case strings.Contains(text, fmt.Sprintf("admission webhook %q denied the request", name)):
		if strings.Contains(text, "Slipway ") {
			return nil
		}
		return []Finding{wrong(object, "webhooks[0].clientConfig", "somebody else than Slipway answers: "+text, in.installAgain())}
	case strings.Contains(text, fmt.Sprintf("failed calling webhook %q", name)):
		message, mend := in.unreached(text)
		return []Finding{wrong(object, "webhooks[0].clientConfig", message+": "+reason(text), mend)}
	case name == mutateWebhook && strings.Contains(text, "Slipway NotGoverned"),
		a.err == nil, name == mutateWebhook && apierrors.IsInvalid(a.err):
		return []Finding{wrong(object, "webhooks[0]", "the API server doesn't ask "+name+": the dry run came through without it",
			"see what "+object+" has wrong, above")}
	case apierrors.IsForbidden(a.err) && strings.Contains(text, " cannot create resource "): // RBAC's words, not those of admission
		in.looked(a.right, a.err)
	default:
		in.blind("can't say whether "+name+" answers, since the dry run ended before: "+text, "remove what it ended by, and look again")
	}
	return nil
}

// errorText is what the API server said: it names the webhook that refused, which a denial of ours leaves out.
func errorText(err error) string {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return status.Error()
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// reason is the last part of the API server's words, without what they begin with.
func reason(text string) string {
	if _, after, found := strings.Cut(text, "failed to call webhook: "); found {
		return after
	}
	_, after, _ := strings.Cut(text, "failed calling webhook ")
	return after
}
