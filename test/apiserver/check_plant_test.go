package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/cmd/slipway/check"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

const (
	// Addresses of Services that a process can listen on: to the API server a replica that does so is one behind the Service.
	loopbackServices = "127.96.0.0/16"
	webhookAddress   = "127.96.0.10"

	ownNS   = world.OwnNamespace
	hubNS   = "research" // where the hub launches
	program = "slipway-webhook"
)

// site is an installation on a control plane of its own, as good as one without a node can be, to be broken.
type site struct {
	*world.World
	port    int
	pair    *certs.Pair
	account *rest.Config // of the webhook
	replica *world.Replica
}

// newSite installs everything, in the order in which a user does.
func newSite(t *testing.T) *site {
	t.Helper()
	c, err := kube.Start(t.Context(), kube.Options{APIServerArgs: []string{"--service-cluster-ip-range=" + loopbackServices}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	config := c.Config()
	config.WarningHandlerWithContext = rest.NoWarnings{}
	s := &site{World: &world.World{Cluster: c, Admin: kubernetes.NewForConfigOrDie(config), Dynamic: dynamic.NewForConfigOrDie(config)}}
	_, err = c.Kubectl(t.Context(), nil, "apply", "-f", world.CRDFolder)
	require.NoError(t, err)
	// kubectl wait fails on a CRD that has no conditions yet.
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := c.Kubectl(t.Context(), nil, "wait", "--for=condition=Established", "--timeout=30s", "-f", world.CRDFolder)
		return err
	}))
	for name, labels := range map[string]map[string]string{
		ownNS: nil, "jupyter": nil, hubNS: {"slipway.dev/governed": "true", "tier": "research"},
	} {
		require.NoError(t, c.CreateNamespace(t.Context(), name, labels))
	}
	s.makeCertificate(t, []string{program + "." + ownNS + ".svc"}, 365*24*time.Hour)
	s.makeRelease(t)
	s.makeHub(t)
	s.start(t)
	s.register(t)
	s.installAdmission(t)
	s.writePolicies(t)
	return s
}

// makeCertificate is a pair as the webhook makes for itself, in the release's Secrets.
func (s *site) makeCertificate(t *testing.T, hosts []string, valid time.Duration) {
	t.Helper()
	var err error
	s.pair, err = certs.SelfSigned(hosts, time.Now(), valid)
	require.NoError(t, err)
	for name, data := range map[string]map[string][]byte{
		"slipway-webhook-self-signed": {certs.CertFile: s.pair.Cert, certs.KeyFile: s.pair.Key, certs.CAFile: s.pair.CA},
		"slipway-webhook-ca":          {certs.CAFile: s.pair.CA},
	} {
		_, err := s.Admin.CoreV1().Secrets(ownNS).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
}

// makeRelease makes what controllers would look after, with the status that they would write.
func (s *site) makeRelease(t *testing.T) {
	t.Helper()
	ports, err := world.FreePorts(1)
	require.NoError(t, err)
	s.port = ports[0]
	labels := map[string]string{"app.kubernetes.io/name": "slipway", "app.kubernetes.io/component": "webhook"}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: program},
		Spec:       corev1.ServiceSpec{ClusterIP: webhookAddress, Selector: labels, Ports: []corev1.ServicePort{{Name: "webhook", Port: int32(s.port)}}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: program + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: program}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("webhook"), Port: new(int32(10250))}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: program},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Selector: selector,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					ServiceAccountName: program,
					Containers:         []corev1.Container{{Name: "webhook", Image: "ghcr.io/slipway-hub/slipway-webhook:0.1.0"}},
				},
			},
		},
	}
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: program}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector}}
	_, serviceErr := s.Admin.CoreV1().Services(ownNS).Create(t.Context(), service, metav1.CreateOptions{})
	_, sliceErr := s.Admin.DiscoveryV1().EndpointSlices(ownNS).Create(t.Context(), slice, metav1.CreateOptions{})
	deployment, deploymentErr := s.Admin.AppsV1().Deployments(ownNS).Create(t.Context(), deployment, metav1.CreateOptions{})
	_, budgetErr := s.Admin.PolicyV1().PodDisruptionBudgets(ownNS).Create(t.Context(), budget, metav1.CreateOptions{})
	require.NoError(t, errors.Join(serviceErr, sliceErr, deploymentErr, budgetErr))
	deployment.Status = appsv1.DeploymentStatus{Replicas: 2, ReadyReplicas: 2}
	_, err = s.Admin.AppsV1().Deployments(ownNS).UpdateStatus(t.Context(), deployment, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// makeHub gives the hub's account what it needs in one namespace.
func (s *site) makeHub(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Cluster.EnsureServiceAccount(t.Context(), "jupyter", "hub"))
	named := metav1.ObjectMeta{Name: "hub"}
	_, roleErr := s.Admin.RbacV1().Roles(hubNS).Create(t.Context(), &rbacv1.Role{ObjectMeta: named, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "get", "list", "watch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}},
	}}, metav1.CreateOptions{})
	_, bindErr := s.Admin.RbacV1().RoleBindings(hubNS).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: named, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "hub"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "jupyter", Name: "hub"}},
	}, metav1.CreateOptions{})
	require.NoError(t, errors.Join(roleErr, bindErr))
	var err error
	if s.HubRest, err = s.Token(t.Context(), "jupyter", "hub"); err == nil {
		s.Hub = kubernetes.NewForConfigOrDie(s.HubRest)
	}
	require.NoError(t, err)
	s.account, err = s.WebhookAccount(t.Context(), ownNS, program, world.WebhookRights(t))
	require.NoError(t, err)
}

// start starts the replica behind the Service, with the certificate of the moment.
func (s *site) start(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, s.pair.Write(dir))
	ctx := context.WithoutCancel(t.Context())
	var err error
	s.replica, err = world.StartReplica(ctx, s.account, func(o *webhook.Options) {
		o.BindAddress, o.Port, o.CertDir, o.DrainDelay = webhookAddress, s.port, dir, 0
	})
	require.NoError(t, err)
	require.NoError(t, s.replica.Await(ctx, http.StatusOK))
}

func (s *site) stop(t *testing.T) {
	t.Helper()
	s.replica.Stop()
	require.NoError(t, <-s.replica.Ended)
}

const hubUser = "system:serviceaccount:jupyter:hub"

func (s *site) register(t *testing.T) {
	t.Helper()
	at := webhook.AtService(ownNS, program, int32(s.port), s.pair.CA)
	api := s.Admin.AdmissionregistrationV1()
	_, mutateErr := api.MutatingWebhookConfigurations().Create(t.Context(), webhook.Configuration(at), metav1.CreateOptions{})
	_, verifyErr := api.ValidatingWebhookConfigurations().Create(t.Context(), webhook.VerifyConfiguration(at, []string{hubUser}), metav1.CreateOptions{})
	_, policyErr := api.ValidatingWebhookConfigurations().Create(t.Context(), webhook.PolicyConfiguration(at), metav1.CreateOptions{})
	require.NoError(t, errors.Join(mutateErr, verifyErr, policyErr))
}

// installAdmission installs the chart's admission policies, which need no webhook.
func (s *site) installAdmission(t *testing.T) {
	t.Helper()
	chart := filepath.Join("..", "..", "charts", "slipway")
	helm := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../../tools/helm/go.mod", "helm", "template", "slipway", chart,
		"--namespace", ownNS, "--show-only", "templates/admission/*", "--set", "launcherAccounts[0].namespace=jupyter,launcherAccounts[0].name=hub",
		"--set", "launcher.enabled=false")
	var out, errs bytes.Buffer
	helm.Stdout, helm.Stderr = &out, &errs
	require.NoError(t, helm.Run(), "%s", &errs)
	_, err := s.Cluster.Kubectl(t.Context(), &out, "apply", "-f", "-")
	require.NoError(t, err)
}

// baseline and course are the policies of the site.
const (
	baseline = `{apiVersion: slipway.dev/v1alpha1, kind: ClusterSpawnPolicy, metadata: {name: baseline}, spec: {
  namespaceSelector: {matchLabels: {tier: research}}, launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]}}`
	ofCourse = `{apiVersion: slipway.dev/v1alpha1, kind: SpawnPolicy, metadata: {name: course, namespace: research}, spec: {
  defaults: {image: "quay.io/jupyter/minimal-notebook:2026-01-05"}}}`
)

// writePolicies writes them, and has alice's server started, which is there from then on.
func (s *site) writePolicies(t *testing.T) {
	t.Helper()
	for _, manifest := range []string{baseline, ofCourse} {
		require.NoError(t, world.Eventually(t.Context(), func() error {
			_, err := s.Cluster.Kubectl(t.Context(), strings.NewReader(manifest), "apply", "-f", "-")
			return err
		}))
	}
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := s.Hub.CoreV1().Pods(hubNS).Create(t.Context(), launcher.Skeleton(world.Alice, hubNS), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}))
}

// look runs the check.
func (s *site) look(ctx context.Context, o check.Options) (*check.Report, error) {
	if o.Config == nil {
		o.Config = s.Cluster.Config()
	}
	return check.Run(ctx, o)
}

// awaitGood waits until the check finds nothing at all.
func (s *site) awaitGood(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	require.NoError(t, world.Eventually(ctx, func() error {
		r, err := s.look(ctx, check.Options{Version: "v0.1.0"})
		if err != nil {
			return err
		}
		return alarms(r, check.Note, check.Warning, check.Wrong, check.Unseen)
	}))
}

// alarms are the findings of these severities.
func alarms(r *check.Report, severities ...check.Severity) error {
	var errs []error
	for _, f := range r.Findings {
		if slices.Contains(severities, f.Severity) {
			errs = append(errs, fmt.Errorf("%s %s: %s %s: %s; mend: %s", f.Severity, f.Check, f.Object, f.Field, f.Message, f.Mend))
		}
	}
	return errors.Join(errs...)
}

// kinds are the resources that tests break.
var kinds = map[string]schema.GroupVersionResource{
	"mutating":   {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
	"validating": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
	"policy":     {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
	"binding":    {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
	"crd":        {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"role":       {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"secret":     {Version: "v1", Resource: "secrets"},
	"slice":      {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	"deployment": {Group: "apps", Version: "v1", Resource: "deployments"},
	"namespace":  {Version: "v1", Resource: "namespaces"},
}

func (s *site) resource(kind, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return s.Dynamic.Resource(kinds[kind])
	}
	return s.Dynamic.Resource(kinds[kind]).Namespace(namespace)
}

// change changes an object by a JSON patch, and puts it back after the test.
func (s *site) change(t *testing.T, kind, namespace, name, patch string, subresources ...string) {
	t.Helper()
	s.restoreLater(t, kind, namespace, name, subresources...)
	_, err := s.resource(kind, namespace).Patch(t.Context(), name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	require.NoError(t, err)
}

// remove deletes an object, and makes it again after the test.
func (s *site) remove(t *testing.T, kind, namespace, name string) {
	t.Helper()
	s.restoreLater(t, kind, namespace, name)
	require.NoError(t, s.resource(kind, namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
}

func (s *site) restoreLater(t *testing.T, kind, namespace, name string, subresources ...string) {
	t.Helper()
	client := s.resource(kind, namespace)
	old, err := client.Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { s.restore(t, client, old, subresources...) })
}

func (s *site) restore(t *testing.T, client dynamic.ResourceInterface, old *unstructured.Unstructured, subresources ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	require.NoError(t, world.Eventually(ctx, func() error {
		again := old.DeepCopy()
		again.SetUID("")
		again.SetResourceVersion("")
		now, err := client.Get(ctx, old.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = client.Create(ctx, again, metav1.CreateOptions{})
			return err
		} else if err != nil {
			return err
		}
		again.SetResourceVersion(now.GetResourceVersion())
		_, err = client.Update(ctx, again, metav1.UpdateOptions{}, subresources...)
		return err
	}))
}

// hubPod is a pod with the hub label and all that it needs to run by itself.
func hubPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "stray", Namespace: hubNS, Labels: map[string]string{policy.LabelHub: "main"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "notebook", Image: "none"}}},
	}
}

// spawnPolicies is the client for the policies of the hub's namespace.
func (s *site) spawnPolicies() dynamic.ResourceInterface {
	return s.Dynamic.Resource(v1alpha1.GroupVersion.WithResource("spawnpolicies")).Namespace(hubNS)
}
