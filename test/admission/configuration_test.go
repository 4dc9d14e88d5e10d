package admission

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// configuration is a configuration of webhooks that the admission policies look at.
type configuration struct {
	resource, name string
}

var (
	mutating  = configuration{"mutatingwebhookconfigurations", webhook.ConfigurationName}
	verifying = configuration{"validatingwebhookconfigurations", "slipway"}
)

// fields of a webhook, as JSON has them.
type fields = map[string]any

// change changes the only webhook of the configuration, or deletes the configuration where how is nil. After the test all is as it
// was, and the API server knows. No other test may run meanwhile.
func (c configuration) change(t *testing.T, a *actors, how func(webhook fields)) {
	t.Helper()
	old, err := c.client(a).Get(t.Context(), c.name, metav1.GetOptions{})
	require.NoError(t, err)
	namespace := a.launchable(t)
	t.Cleanup(func() { c.restore(t, a, old, namespace) })
	if how == nil {
		require.NoError(t, c.client(a).Delete(t.Context(), c.name, metav1.DeleteOptions{}))
		return
	}
	c.changeAgain(t, a, how)
}

// changeAgain is for what was changed before by the same test.
func (c configuration) changeAgain(t *testing.T, a *actors, how func(webhook fields)) {
	t.Helper()
	object, err := c.client(a).Get(t.Context(), c.name, metav1.GetOptions{})
	require.NoError(t, err)
	webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
	require.NoError(t, err)
	webhook, ok := webhooks[0].(fields)
	require.True(t, ok)
	how(webhook)
	require.NoError(t, unstructured.SetNestedSlice(object.Object, webhooks, "webhooks"))
	_, err = c.client(a).Update(t.Context(), object, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func (c configuration) client(a *actors) dynamic.ResourceInterface {
	return a.Dynamic.Resource(admissionregistrationv1.SchemeGroupVersion.WithResource(c.resource))
}

// restore puts the configuration back and waits until a server can be launched again.
func (c configuration) restore(t *testing.T, a *actors, old *unstructured.Unstructured, namespace string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := c.client(a).Delete(ctx, c.name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		require.NoError(t, err)
	}
	again := old.DeepCopy()
	again.SetResourceVersion("")
	again.SetUID("")
	_, err := c.client(a).Create(ctx, again, metav1.CreateOptions{})
	require.NoError(t, err)
	a.Gate.Closed.Store(false)
	require.NoError(t, world.Eventually(ctx, a.launches(t, namespace)))
}

// launches gives an attempt of the hub's to launch alice's server, which stores nothing.
func (a *actors) launches(t *testing.T, namespace string) func() error {
	t.Helper()
	return func() error {
		_, err := a.hub.CoreV1().Pods(namespace).Create(context.WithoutCancel(t.Context()), launcher.Skeleton(world.Alice, namespace), dryRun)
		return err
	}
}

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

// weaknesses are ways to weaken either webhook, with the field that a denial names.
var weaknesses = map[string]struct {
	change func(webhook fields)
	field  string
}{
	"failures ignored": {func(w fields) { w["failurePolicy"] = "Ignore" }, "failurePolicy"},
	"no rules":         {func(w fields) { delete(w, "rules") }, "rules"},
	"rules for DELETE": {func(w fields) { w["rules"] = rules("DELETE", "pods") }, "rules"},
	"rules for another group": {func(w fields) {
		w["rules"] = []any{fields{"apiGroups": []any{"apps"}, "apiVersions": []any{"*"}, "operations": []any{"*"}, "resources": []any{"*/*"}}}
	}, "rules"},
	"rules for another version": {func(w fields) {
		w["rules"] = []any{fields{"apiGroups": []any{""}, "apiVersions": []any{"v2"}, "operations": []any{"*"}, "resources": []any{"*/*"}}}
	}, "rules"},
	"rules for what has no namespace": {func(w fields) {
		w["rules"] = []any{fields{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"*"}, "resources": []any{"*/*"}, "scope": "Cluster"}}
	}, "rules"},
	"only some pods": {func(w fields) { w["objectSelector"] = fields{"matchLabels": fields{"guarded": "yes"}} }, "objectSelector"},
	"only pods of one hub": {func(w fields) {
		w["objectSelector"] = fields{"matchExpressions": []any{fields{"key": policy.LabelHub, "operator": "In", "values": []any{"other"}}}}
	}, "objectSelector"},
	"only pods without the label": {func(w fields) {
		w["objectSelector"] = fields{"matchExpressions": []any{fields{"key": policy.LabelHub, "operator": "DoesNotExist"}}}
	}, "objectSelector"},
	"only pods with another label": {func(w fields) {
		w["objectSelector"] = fields{"matchExpressions": []any{fields{"key": "guarded", "operator": "Exists"}}}
	}, "objectSelector"},
	"only some namespaces": {func(w fields) { w["namespaceSelector"] = fields{"matchLabels": fields{"guarded": "yes"}} }, "namespaceSelector"},
	"only one namespace": {func(w fields) {
		w["namespaceSelector"] = fields{"matchExpressions": []any{fields{"key": corev1.LabelMetadataName, "operator": "In", "values": []any{"other"}}}}
	}, "namespaceSelector"},
}

// renamed is another webhook that does all that ours does.
func renamed(w fields) { w["name"] = "other.slipway.dev" }

func rules(operation string, resources ...any) []any {
	return []any{fields{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{operation}, "resources": resources}}
}

// excluding is a selector of every namespace but those with this value of the label.
func excluding(label, value string) fields {
	return fields{"matchExpressions": []any{fields{"key": label, "operator": "NotIn", "values": []any{"kube-system", value}}}}
}

// eventuallyDenied waits until the API server has seen the change of a configuration.
func eventuallyDenied(t *testing.T, try func() error, says ...string) {
	t.Helper()
	var err error
	require.NoError(t, world.Eventually(t.Context(), func() error {
		err = try()
		for _, s := range says {
			if err == nil || !strings.Contains(err.Error(), s) {
				return fmt.Errorf("not %q: %w", s, err)
			}
		}
		return nil
	}))
	if strings.HasPrefix(says[0], "Slipway ") {
		requireDenied(t, err, policy.NotGoverned, says[0])
	}
}

func TestWithoutTheFittingWebhookNobodyCreatesAServer(t *testing.T) {
	a := forTest(t)
	ns := a.launchable(t)
	launch := a.launches(t, ns)
	// It brings an image, so the API server itself would store it.
	withImage := func() error {
		pod := plain("jupyter-alice")
		pod.Labels = map[string]string{policy.LabelHub: "main"}
		_, err := a.operator.CoreV1().Pods(ns).Create(t.Context(), pod, dryRun)
		return err
	}
	says := "Slipway NotGoverned: MutatingWebhookConfiguration 0-slipway has to be as it was installed for a pod with the label slipway.dev/hub, but "
	for name, w := range weaknesses {
		t.Run(name, func(t *testing.T) {
			mutating.change(t, a, w.change)
			a.closeGate(t)
			eventuallyDenied(t, withImage, says+w.field+" of its webhook mutate.slipway.dev")
		})
	}
	t.Run("this namespace excluded", func(t *testing.T) {
		mutating.change(t, a, func(w fields) { w["namespaceSelector"] = excluding(corev1.LabelMetadataName, ns) })
		a.closeGate(t)
		eventuallyDenied(t, withImage, says+"namespaceSelector of its webhook")
	})
	// Today it excludes nothing here, but its namespace's label is for others to change.
	t.Run("namespaces excluded by another label", func(t *testing.T) {
		mutating.change(t, a, func(w fields) { w["namespaceSelector"] = excluding("tier", "free") })
		eventuallyDenied(t, launch, says+"namespaceSelector of its webhook")
	})
	t.Run("another webhook", func(t *testing.T) {
		mutating.change(t, a, renamed)
		eventuallyDenied(t, launch, says)
	})
	t.Run("a condition", func(t *testing.T) {
		mutating.change(t, a, func(w fields) { w["matchConditions"] = []any{fields{"name": "never", "expression": "false"}} })
		a.closeGate(t)
		eventuallyDenied(t, withImage, says+"matchConditions of its webhook")
	})
	t.Run("no configuration", func(t *testing.T) {
		mutating.change(t, a, nil)
		a.closeGate(t)
		eventuallyDenied(t, withImage, "'slipway-mutating-configuration' denied request", "no params found")
		_, err := a.operator.CoreV1().Pods(ns).Create(t.Context(), plain("plain"), metav1.CreateOptions{})
		assert.NoError(t, err, "it is no other pod's business")
	})
}

func TestWithoutTheVerifyingWebhookNobodyCreatesAServer(t *testing.T) {
	a := forTest(t)
	ns := a.launchable(t)
	launch := a.launches(t, ns)
	says := "Slipway NotGoverned: ValidatingWebhookConfiguration slipway has to be as it was installed for a pod with the label slipway.dev/hub, but "
	for name, w := range weaknesses {
		t.Run(name, func(t *testing.T) {
			verifying.change(t, a, w.change)
			eventuallyDenied(t, launch, says+w.field+" of its webhook verify.slipway.dev")
		})
	}
	for name, left := range map[string][]any{
		"CREATE alone":             rules("CREATE", "pods", "pods/ephemeralcontainers", "pods/resize"),
		"UPDATE alone":             rules("UPDATE", "pods", "pods/ephemeralcontainers", "pods/resize"),
		"not ephemeral containers": append(rules("CREATE", "pods"), rules("UPDATE", "pods", "pods/resize")...),
		"not resize":               append(rules("CREATE", "pods"), rules("UPDATE", "pods", "pods/ephemeralcontainers")...),
		"not pods themselves":      append(rules("CREATE", "pods"), rules("UPDATE", "pods/ephemeralcontainers", "pods/resize")...),
	} {
		t.Run("rules for "+name, func(t *testing.T) {
			verifying.change(t, a, func(w fields) { w["rules"] = left })
			eventuallyDenied(t, launch, says+"rules of its webhook")
		})
	}
	t.Run("this namespace excluded", func(t *testing.T) {
		verifying.change(t, a, func(w fields) { w["namespaceSelector"] = excluding(corev1.LabelMetadataName, ns) })
		eventuallyDenied(t, launch, says+"namespaceSelector of its webhook")
	})
	// Today it excludes nothing here, but its namespace's label is for others to change.
	t.Run("namespaces excluded by another label", func(t *testing.T) {
		verifying.change(t, a, func(w fields) { w["namespaceSelector"] = excluding("tier", "free") })
		eventuallyDenied(t, launch, says+"namespaceSelector of its webhook")
	})
	t.Run("another webhook", func(t *testing.T) {
		verifying.change(t, a, renamed)
		eventuallyDenied(t, launch, says)
	})
	// A later webhook that removes the label would escape it.
	t.Run("only pods with the hub label", func(t *testing.T) {
		verifying.change(t, a, func(w fields) {
			w["objectSelector"] = fields{"matchExpressions": []any{fields{"key": policy.LabelHub, "operator": "Exists"}}}
		})
		eventuallyDenied(t, launch, says+"objectSelector of its webhook")
	})
	for name, condition := range map[string]fields{
		"one more condition":                          {"name": "never", "expression": "false"},
		"a condition with something more":             {"name": "governed", "expression": governed(t, a) + " && false"},
		"a list of launchers that ends the condition": {"name": "governed", "expression": governed(t, a) + ` && request.userInfo.username in ["hub"]`},
	} {
		t.Run(name, func(t *testing.T) {
			verifying.change(t, a, func(w fields) { w["matchConditions"] = []any{condition} })
			eventuallyDenied(t, launch, says+"matchConditions of its webhook")
		})
	}
	t.Run("no configuration", func(t *testing.T) {
		verifying.change(t, a, nil)
		eventuallyDenied(t, launch, "'slipway-validating-configuration' denied request", "no params found")
		_, err := a.operator.CoreV1().Pods(ns).Create(t.Context(), plain("plain"), metav1.CreateOptions{})
		assert.NoError(t, err, "it is no other pod's business")
	})
}

// governed is the first condition of the verifying webhook as it was installed.
func governed(t *testing.T, a *actors) string {
	t.Helper()
	c, err := a.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), verifying.name, metav1.GetOptions{})
	require.NoError(t, err)
	return c.Webhooks[0].MatchConditions[0].Expression
}

// What guards as much as what was installed is good, too.
func TestAConfigurationThatGuardsMoreIsGood(t *testing.T) {
	a := forTest(t)
	ns := a.launchable(t)
	launch := a.launches(t, ns)
	for name, c := range map[string]struct {
		configuration configuration
		change        func(webhook fields)
	}{
		"every object and namespace is fitted": {mutating, func(w fields) { w["objectSelector"], w["namespaceSelector"] = fields{}, fields{} }},
		"every resource and operation is verified": {verifying, func(w fields) {
			w["rules"] = []any{fields{"apiGroups": []any{"*"}, "apiVersions": []any{"*"}, "operations": []any{"*"}, "resources": []any{"*/*"}}}
		}},
		"every pod is verified": {verifying, func(w fields) { delete(w, "matchConditions") }},
		"other launchers are looked at": {verifying, func(w fields) {
			w["matchConditions"] = []any{fields{"name": "governed", "expression": strings.Replace(governed(t, a), "[", `["system:serviceaccount:a:b", `, 1)}}
		}},
		"other namespaces are excluded": {verifying, func(w fields) { w["namespaceSelector"] = excluding(corev1.LabelMetadataName, "other") }},
	} {
		t.Run(name, func(t *testing.T) {
			// First something that is seen to have arrived.
			c.configuration.change(t, a, func(w fields) { w["failurePolicy"] = "Ignore" })
			eventuallyDenied(t, launch, "Slipway NotGoverned: ")
			c.configuration.changeAgain(t, a, func(w fields) {
				w["failurePolicy"] = "Fail"
				c.change(w)
			})
			assert.NoError(t, world.Eventually(t.Context(), launch))
		})
	}
}

// An upgrade changes a configuration before it changes the policy that guards it. Nothing but the conditions may be another's.
func TestConditionsOfAnotherReleaseAreGood(t *testing.T) {
	a := forTest(t)
	launch := a.launches(t, a.launchable(t))
	verifying.change(t, a, func(w fields) { w["matchConditions"] = []any{fields{"name": "other", "expression": "true"}} })
	eventuallyDenied(t, launch, "Slipway NotGoverned: ", "matchConditions of its webhook")
	other := []byte(`{"metadata":{"annotations":{"slipway.dev/match-conditions":"other"}}}`)
	_, err := verifying.client(a).Patch(t.Context(), verifying.name, types.MergePatchType, other, metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, world.Eventually(t.Context(), launch))
	verifying.changeAgain(t, a, func(w fields) { w["failurePolicy"] = "Ignore" })
	eventuallyDenied(t, launch, "Slipway NotGoverned: ", "failurePolicy of its webhook")
}

// specChanges are the ways to change a running pod's spec.
var specChanges = map[string]struct{ patch, subresource string }{
	"another image":          {`{"spec":{"containers":[{"name":"notebook","image":"evil"}]}}`, ""},
	"an ephemeral container": {`{"spec":{"ephemeralContainers":[{"name":"debug","image":"evil"}]}}`, "ephemeralcontainers"},
	"more memory":            {`{"spec":{"containers":[{"name":"notebook","resources":{"limits":{"memory":"64Gi"}}}]}}`, "resize"},
}

func TestWithoutTheVerifyingWebhookNobodyChangesAServersSpec(t *testing.T) {
	a := forTest(t)
	server := a.runningServer(t)
	try := func(patch string, subresource ...string) error {
		_, err := a.operator.CoreV1().Pods(server.Namespace).Patch(t.Context(), server.Name, types.StrategicMergePatchType, []byte(patch),
			metav1.PatchOptions{DryRun: dryRun.DryRun}, subresource...)
		return err
	}
	t.Run("failures ignored", func(t *testing.T) {
		verifying.change(t, a, weaknesses["failures ignored"].change)
		for name, c := range specChanges {
			t.Run(name, func(t *testing.T) {
				eventuallyDenied(t, func() error { return try(c.patch, strings.Fields(c.subresource)...) }, "Slipway NotGoverned: ValidatingWebhookConfiguration slipway")
			})
		}
		assertServerLives(t, a, server)
	})
	t.Run("no configuration", func(t *testing.T) {
		verifying.change(t, a, nil)
		for _, name := range []string{"an ephemeral container", "more memory"} {
			t.Run(name, func(t *testing.T) {
				c := specChanges[name]
				eventuallyDenied(t, func() error { return try(c.patch, c.subresource) }, "'slipway-validating-configuration' denied request", "no params found")
			})
		}
		assertServerLives(t, a, server)
	})
}

// assertServerLives writes what must always be written: status, labels, finalizers.
func assertServerLives(t *testing.T, a *actors, server *corev1.Pod) {
	t.Helper()
	client := a.operator.CoreV1().Pods(server.Namespace)
	for name, c := range map[string]struct{ patch, subresource string }{
		"status":             {`{"status":{"phase":"Running","podIP":"10.0.0.1"}}`, "status"},
		"an ordinary label":  {`{"metadata":{"labels":{"team":"blue"}}}`, ""},
		"a finalizer":        {`{"metadata":{"finalizers":["example.org/keep"]}}`, ""},
		"the finalizer gone": {`{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.org/keep"]}}`, ""},
	} {
		_, err := client.Patch(t.Context(), server.Name, types.StrategicMergePatchType, []byte(c.patch), metav1.PatchOptions{}, strings.Fields(c.subresource)...)
		assert.NoError(t, err, name)
	}
}
