package apiserver

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/cmd/slipway/check"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

var brokenDefinitions = []broken{
	{
		name: "a CRD that is missing",
		how: func(t *testing.T, s *site) {
			t.Cleanup(func() {
				ctx := context.WithoutCancel(t.Context())
				require.NoError(t, world.Eventually(ctx, func() error {
					_, err := s.Cluster.Kubectl(ctx, strings.NewReader(ofCourse), "apply", "-f", "-")
					return err
				}))
			})
			s.remove(t, "crd", "", "spawnpolicies.slipway.dev")
		},
		want:       check.Finding{Severity: check.Wrong, Check: "crds", Object: "spawnpolicies.slipway.dev", Message: "isn't there", Mend: upgrade},
		alsoAlarms: []string{"answers", "policies"},
	},
	{
		name: "a CRD that is older",
		how: func(t *testing.T, s *site) {
			s.change(t, "crd", "", "clusterspawnpolicies.slipway.dev",
				`[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/hubEnv"}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "crds", Object: "clusterspawnpolicies.slipway.dev", Field: "spec.versions[0].schema",
			Message: "drops spec.hubEnv", Mend: upgrade,
		},
	},
	{
		name: "a policy that isn't ready",
		how: func(t *testing.T, s *site) {
			s.remove(t, "validating", "", webhook.PolicyConfigurationName)
			invalid := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "slipway.dev/v1alpha1", "kind": "SpawnPolicy", "metadata": map[string]any{"name": "invalid"},
				"spec": map[string]any{"defaults": map[string]any{"workingDir": "{usernam}"}},
			}}
			require.NoError(t, world.Eventually(t.Context(), func() error {
				_, err := s.spawnPolicies().Create(t.Context(), invalid, metav1.CreateOptions{})
				return err
			}))
			t.Cleanup(func() {
				require.NoError(t, s.spawnPolicies().Delete(context.WithoutCancel(t.Context()), "invalid", metav1.DeleteOptions{}))
			})
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "policies", Object: "SpawnPolicy research/invalid", Field: "status.conditions[Ready]",
			Message: "spec.defaults.workingDir", Mend: "kubectl edit spawnpolicy/invalid --namespace research",
		},
		alsoAlarms: []string{"policy webhook"},
	},
}

var brokenConfigurations = []broken{
	{
		name: "a mutating configuration that is missing",
		how:  func(t *testing.T, s *site) { s.remove(t, "mutating", "", webhook.ConfigurationName) },
		want: check.Finding{Severity: check.Wrong, Check: "fitting webhook", Object: "0-slipway", Message: "isn't there", Mend: upgrade},
	},
	{
		name: "failures ignored",
		how: func(t *testing.T, s *site) {
			s.change(t, "mutating", "", webhook.ConfigurationName, `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "fitting webhook", Field: "webhooks[0].failurePolicy", Message: "is Ignore, must be Fail",
			Mend: `kubectl patch mutatingwebhookconfiguration 0-slipway --type=json -p '[{"op":"add","path":"/webhooks/0/failurePolicy","value":"Fail"}]'`,
		},
		alsoAlarms: []string{"answers"}, // the admission policy may refuse the dry run before
	},
	{
		name: "an objectSelector that lets pods by",
		how: func(t *testing.T, s *site) {
			s.change(t, "mutating", "", webhook.ConfigurationName, `[{"op":"add","path":"/webhooks/0/objectSelector/matchLabels","value":{"guarded":"yes"}}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "fitting webhook", Field: "webhooks[0].objectSelector", Message: "lets pods by",
			Mend: `"value":{"matchExpressions":[{"key":"slipway.dev/hub","operator":"Exists"}]}}]'`,
		},
		alsoAlarms: []string{"answers"},
	},
	{
		name: "a verifying webhook that isn't asked about updates",
		how: func(t *testing.T, s *site) {
			s.change(t, "validating", "", webhook.VerifyConfigurationName, `[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":["CREATE"]}]`)
		},
		want: check.Finding{Severity: check.Wrong, Check: "verifying webhook", Field: "webhooks[0].rules", Message: "don't cover UPDATE pods", Mend: upgrade},
	},
	{
		name: "another mutating webhook before ours",
		how: func(t *testing.T, s *site) {
			c := webhook.Configuration(webhook.AtAddress("127.0.0.1", 1, s.pair.CA))
			c.Name, c.Webhooks[0].Name, c.Webhooks[0].FailurePolicy = "0-early", "early.example.com", new(admissionregistrationv1.Ignore)
			c.Webhooks[0].ObjectSelector = nil
			c.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "research"}}
			s.createMutating(t, c)
		},
		want: check.Finding{
			Severity: check.Warning, Check: "other webhooks", Object: "0-early", Message: "comes before the fitting webhook", Mend: "reinvocationPolicy",
		},
	},
	{
		name: "a second release",
		how: func(t *testing.T, s *site) {
			c := webhook.Configuration(webhook.AtService(ownNS, program, int32(s.port), s.pair.CA))
			c.Name = "other"
			s.createMutating(t, c)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "other webhooks", Object: "MutatingWebhookConfiguration other", Message: "second release",
			Mend: "kubectl delete mutatingwebhookconfiguration other",
		},
	},
	{
		name: "an admission policy that is missing",
		how:  func(t *testing.T, s *site) { s.remove(t, "policy", "", "slipway-identity") },
		want: check.Finding{Severity: check.Wrong, Check: "admission policies", Object: "ValidatingAdmissionPolicy slipway-identity", Message: "isn't there", Mend: upgrade},
	},
	{
		name: "a binding that is missing",
		how:  func(t *testing.T, s *site) { s.remove(t, "binding", "", "slipway-claims") },
		want: check.Finding{Severity: check.Wrong, Check: "admission policies", Object: "ValidatingAdmissionPolicyBinding slipway-claims", Message: "isn't there", Mend: upgrade},
	},
	{
		name: "a binding that only warns",
		how: func(t *testing.T, s *site) {
			s.change(t, "binding", "", "slipway-launchers", `[{"op":"replace","path":"/spec/validationActions","value":["Warn"]}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "admission policies", Object: "slipway-launchers", Field: "spec.validationActions",
			Mend: "kubectl patch validatingadmissionpolicybinding slipway-launchers",
		},
	},
}

var brokenCertificates = []broken{
	{
		name: "a caBundle that is empty",
		how: func(t *testing.T, s *site) {
			s.change(t, "mutating", "", webhook.ConfigurationName, `[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "certificate", Object: "0-slipway", Field: "caBundle", Message: "is empty",
			Mend: "kubectl rollout restart deployment/slipway-webhook --namespace slipway-system",
		},
		alsoAlarms: []string{"answers"},
	},
	{
		name: "a caBundle of somebody else",
		how: func(t *testing.T, s *site) {
			foreign, err := certs.SelfSigned([]string{"foreign"}, time.Now(), 365*24*time.Hour)
			require.NoError(t, err)
			s.change(t, "validating", "", webhook.VerifyConfigurationName,
				fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`, base64.StdEncoding.EncodeToString(foreign.CA)))
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "certificate", Object: "ValidatingWebhookConfiguration slipway", Field: "caBundle",
			Message: "has no authority that signed the certificate", Mend: "the replicas write it",
		},
		alsoAlarms: []string{"answers"},
	},
	{
		name: "a certificate that has expired",
		how:  func(*testing.T, *site) {},
		want: check.Finding{
			Severity: check.Wrong, Check: "certificate", Object: "Secret slipway-system/slipway-webhook-self-signed", Message: "expired on",
			Mend: "kubectl rollout restart deployment/slipway-webhook --namespace slipway-system",
		},
		options: check.Options{Now: time.Now().Add(366 * 24 * time.Hour)},
	},
	{
		name:    "a certificate that expires soon",
		how:     func(*testing.T, *site) {},
		want:    check.Finding{Severity: check.Warning, Check: "certificate", Object: "Secret", Message: "should have been renewed", Mend: "kubectl rollout restart"},
		options: check.Options{Now: time.Now().Add(360 * 24 * time.Hour)},
	},
	{
		name: "a certificate for another name",
		how: func(t *testing.T, s *site) {
			other, err := certs.SelfSigned([]string{"other.slipway-system.svc"}, time.Now(), 365*24*time.Hour)
			require.NoError(t, err)
			s.change(t, "secret", ownNS, "slipway-webhook-self-signed", fmt.Sprintf(`[{"op":"replace","path":"/data/tls.crt","value":%q}]`, base64.StdEncoding.EncodeToString(other.Cert)))
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "certificate", Message: "is for other.slipway-system.svc, not for slipway-webhook.slipway-system.svc", Mend: "kubectl rollout restart",
		},
	},
}

var brokenSurroundings = []broken{
	{
		name: "no replica",
		how: func(t *testing.T, s *site) {
			s.change(t, "slice", ownNS, program+"-1", `[{"op":"replace","path":"/endpoints/0/conditions/ready","value":false}]`)
			s.change(t, "deployment", ownNS, program, `[{"op":"remove","path":"/status/readyReplicas"}]`, "status")
			t.Cleanup(func() { s.start(t) })
			s.stop(t)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "answers", Object: "0-slipway", Message: "connection refused",
			Mend: "kubectl rollout status deployment/slipway-webhook --namespace slipway-system",
		},
		alsoAlarms: []string{"replicas", "service", "policies"},
	},
	{
		name: "no ready endpoint",
		how: func(t *testing.T, s *site) {
			s.change(t, "slice", ownNS, program+"-1", `[{"op":"replace","path":"/endpoints/0/conditions/ready","value":false}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "service", Object: "Service slipway-system/slipway-webhook", Message: "leads to no ready endpoint",
			Mend: "kubectl get pods --namespace slipway-system --selector app.kubernetes.io/component=webhook",
		},
	},
	{
		name: "a replica too few",
		how: func(t *testing.T, s *site) {
			s.change(t, "deployment", ownNS, program, `[{"op":"replace","path":"/status/readyReplicas","value":1}]`, "status")
		},
		want: check.Finding{Severity: check.Warning, Check: "replicas", Field: "status.readyReplicas", Message: "is 1 of 2", Mend: "kubectl describe pods --namespace slipway-system"},
	},
	{
		name: "another version",
		how:  func(*testing.T, *site) {},
		want: check.Finding{Severity: check.Note, Check: "replicas", Field: "image", Message: "is version 0.1.0, and this program is 0.2.0", Mend: "use the slipway"},

		options: check.Options{Version: "v0.2.0"},
	},
	{
		name: "a hub's pod that nobody fitted",
		how: func(t *testing.T, s *site) {
			for kind, names := range map[string][]string{
				"mutating": {"0-slipway"}, "validating": {"slipway"},
				"binding": {"slipway-mutating-configuration", "slipway-validating-configuration"},
			} {
				for _, name := range names {
					s.remove(t, kind, "", name)
				}
			}
			require.NoError(t, world.Eventually(t.Context(), func() error {
				_, err := s.Admin.CoreV1().Pods(hubNS).Create(t.Context(), hubPod(), metav1.CreateOptions{})
				return err
			}))
			t.Cleanup(func() {
				require.NoError(t, s.Admin.CoreV1().Pods(hubNS).Delete(context.WithoutCancel(t.Context()), "stray", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
			})
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "pods", Object: "Pods in research", Field: "metadata.annotations[slipway.dev/applied]",
			Message: "is missing on 1 pod of hubs (stray)", Mend: "kubectl delete pods --namespace research stray",
		},
		alsoAlarms: []string{"fitting webhook", "verifying webhook", "admission policies"},
	},
	{
		name: "a namespace without the mark",
		how: func(t *testing.T, s *site) {
			s.remove(t, "binding", "", "slipway-governed-mark")
			s.restoreLater(t, "namespace", "", hubNS)
			require.NoError(t, world.Eventually(t.Context(), func() error {
				_, err := s.Cluster.Kubectl(t.Context(), nil, "label", "namespace", hubNS, "slipway.dev/governed-")
				return err
			}))
		},
		want: check.Finding{
			Severity: check.Note, Check: "namespaces", Object: "Namespace research", Message: "leaving the hub label out",
			Mend: "kubectl label namespace research slipway.dev/governed=true",
		},
		alsoAlarms: []string{"admission policies"},
	},
}

var brokenRights = []broken{
	{
		name: "a launcher that the chart's values don't list",
		how: func(t *testing.T, s *site) {
			require.NoError(t, s.Cluster.EnsureServiceAccount(t.Context(), "jupyter", "second"))
			s.put(t, `{"apiVersion":"slipway.dev/v1alpha1","kind":"SpawnPolicy","metadata":{"name":"second","namespace":"research"},
				"spec":{"hubs":["second"],"launchers":[{"serviceAccount":{"namespace":"jupyter","name":"second"}}]}}`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "launcher accounts", Object: "ValidatingAdmissionPolicy slipway-launchers", Field: "is-launcher",
			Message: "lacks system:serviceaccount:jupyter:second, which SpawnPolicy research/second spec.launchers[0] names",
			Mend:    "add {namespace: jupyter, name: second} to the chart's value launcherAccounts",
		},
		alsoAlarms: []string{"launcher rights", "policies"},
	},
	{
		name: "a launcher without a right",
		how: func(t *testing.T, s *site) {
			s.change(t, "role", hubNS, "hub", `[{"op":"replace","path":"/rules/0/verbs","value":["create","get","list","delete"]}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "launcher rights", Object: "ServiceAccount jupyter/hub", Message: "may not watch pods in namespace research",
			Mend: "kubectl create role hub-pods --verb=watch --resource=pods --namespace research; kubectl create rolebinding hub-pods --role=hub-pods --serviceaccount=jupyter:hub --namespace research",
		},
	},
	{
		name: "a launcher that reads Secrets",
		how: func(t *testing.T, s *site) {
			s.change(t, "role", hubNS, "hub", `[{"op":"replace","path":"/rules/1/verbs","value":["create","get","list"]}]`)
		},
		want: check.Finding{
			Severity: check.Warning, Check: "launcher rights", Object: "ServiceAccount jupyter/hub", Message: "may get secrets, list secrets in namespace research",
			Mend: "kubectl get rolebindings,clusterrolebindings --namespace research -o wide | grep jupyter/hub",
		},
	},
	{
		name: "a launcher that may weaken the webhooks",
		how: func(t *testing.T, s *site) {
			s.grant(t, "jupyter", "hub", rbacv1.PolicyRule{
				APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"mutatingwebhookconfigurations"}, Verbs: []string{"update"},
			})
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "launcher rights", Object: "ServiceAccount jupyter/hub",
			Message: "may update mutatingwebhookconfigurations.admissionregistration.k8s.io in the whole cluster", Mend: "kubectl get clusterrolebindings",
		},
	},
	{
		name: "a launcher that doesn't see labels",
		how: func(t *testing.T, s *site) {
			s.change(t, "role", hubNS, "hub", `[{"op":"remove","path":"/rules/2"}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "launcher rights", Object: "ServiceAccount jupyter/hub", Message: "may not get namespaces in namespace research",
			Mend: "--verb=get --resource=namespaces --namespace research",
		},
	},
	{
		name: "a launcher that creates any namespace",
		how: func(t *testing.T, s *site) {
			s.grant(t, "jupyter", "hub", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"create"}})
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "launcher rights", Object: "ServiceAccount jupyter/hub",
			Message: "may create namespaces, by whose labels policies are selected, and ValidatingAdmissionPolicy slipway-launcher-namespaces isn't there",
			Mend:    "set the chart's values launcher.userNamespaces to true and launcher.userNamespacePolicy",
		},
	},
	{
		name: "users' namespaces that nobody makes",
		how: func(t *testing.T, s *site) {
			s.put(t, `{"apiVersion":"slipway.dev/v1alpha1","kind":"ClusterSpawnPolicy","metadata":{"name":"own"},"spec":{"namespaceSelector":{"matchLabels":{"kind":"user"}},
				"launchers":[{"serviceAccount":{"namespace":"jupyter","name":"hub"}}],"defaults":{"enableUserNamespaces":true,"userNamespaceLabels":{"kind":"user"}}}}`)
		},
		want: check.Finding{
			Severity: check.Note, Check: "launcher rights", Object: "ServiceAccount jupyter/hub",
			Message: "may not create namespaces: those that ClusterSpawnPolicy own gives users have to be there", Mend: "launcher.userNamespacePolicy",
		},
		alsoAlarms: []string{"policies"},
	},
	{
		name: "a launcher that may do everything",
		how: func(t *testing.T, s *site) {
			s.grant(t, "jupyter", "hub", rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}})
		},
		want: check.Finding{Severity: check.Wrong, Check: "launcher rights", Object: "ServiceAccount jupyter/hub", Message: "may do everything", Mend: "kubectl get clusterrolebindings"},
	},
	{
		name: "a webhook without a right",
		how: func(t *testing.T, s *site) {
			s.change(t, "role", ownNS, "test-"+program, `[{"op":"replace","path":"/rules/0/verbs","value":["get","list","watch","create","update","delete"]}]`)
		},
		want: check.Finding{
			Severity: check.Wrong, Check: "webhook rights", Object: "ServiceAccount slipway-system/slipway-webhook",
			Message: "may not patch leases.coordination.k8s.io in namespace slipway-system", Mend: upgrade,
		},
		alsoAlarms: []string{"policies"},
	},
}
