package admission

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// userNamespaces writes the policy by which launchers create namespaces, with these settings blocks, for the hub main and for no namespace
// that another test has, and waits until the API server goes by it: until it refuses a namespace in its name, and no more for want of it.
func (a *actors) userNamespaces(t *testing.T, blocks string) {
	t.Helper()
	a.userNamespacesFor(t, "hubs: [main]", blocks)
}

func (a *actors) userNamespacesFor(t *testing.T, whom, blocks string) {
	t.Helper()
	a.Put(t, "", fmt.Sprintf(`
kind: ClusterSpawnPolicy
metadata: {name: %s}
spec: {%s, namespaceSelector: {matchLabels: {kind: user}}, %s}
`, world.UserNamespacePolicy, whom, blocks))
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), namespaceOf("no-such-name"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "ClusterSpawnPolicy "+world.UserNamespacePolicy) {
			return fmt.Errorf("the policy isn't known yet: %w", err)
		}
		return nil
	}))
	t.Cleanup(func() { // a policy of this name that came later could be taken for the one of before
		require.NoError(t, a.Policies("ClusterSpawnPolicy", "").Delete(context.WithoutCancel(t.Context()), world.UserNamespacePolicy, metav1.DeleteOptions{}))
		require.NoError(t, world.Eventually(context.WithoutCancel(t.Context()), func() error {
			_, err := a.hub.CoreV1().Namespaces().Create(context.WithoutCancel(t.Context()), namespaceOf("no-such-name"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil || strings.Contains(err.Error(), "ClusterSpawnPolicy "+world.UserNamespacePolicy) {
				return fmt.Errorf("the policy is known still: %w", err)
			}
			return nil
		}))
	})
}

// namespaceOf is one of the hub main with more labels, as key, value, key, value.
func namespaceOf(name string, labels ...string) *corev1.Namespace {
	set := map[string]string{policy.LabelHub: "main"}
	for i := 0; i < len(labels); i += 2 {
		set[labels[i]] = labels[i+1]
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: set}}
}

const (
	// dictated are settings that a namespace jupyter-NAME is held to.
	dictated = `defaults: {enableUserNamespaces: true, userNamespaceLabels: {kind: user, slipway.dev/governed: "true", owner: "of-{username}-here", course: "c.{username}", user: "{username}", tier: research}},
  enforced: {userNamespaceLabels: {tier: strict}, userNamespaceAnnotations: {example.org/quota: small, example.org/who: "{unescaped_username}", example.org/mail: '{{\E}}{unescaped_username}--{servername}'}}`
	onlyNames = `enforced: {enableUserNamespaces: true, userNamespaceTemplate: "%s"}`
)

// alicesNamespace is as the settings dictated have it.
func alicesNamespace() *corev1.Namespace {
	ns := namespaceOf("jupyter-alice", "kind", "user", "slipway.dev/governed", "true", "owner", "of-alice-here", "course", "c.alice", "user", "alice", "tier", "strict")
	ns.Annotations = map[string]string{"example.org/quota": "small", "example.org/who": "Alice", "example.org/mail": `{\E}Alice`}
	return ns
}

func TestALauncherCreatesNamespacesAsPolicyDictates(t *testing.T) {
	a := forTest(t)
	a.userNamespaces(t, dictated)
	a.closeGate(t)
	for name, c := range map[string]struct {
		change func(*corev1.Namespace)
		code   policy.Code // empty: it may
		says   string
	}{
		"as it should be":               {func(*corev1.Namespace) {}, "", ""},
		"another user's":                {func(ns *corev1.Namespace) { ns.Name = "jupyter-bob-example-org---fb5b3740" }, "", ""},
		"another name":                  {func(ns *corev1.Namespace) { ns.Name = "alice" }, policy.NameMismatch, "has userNamespaceTemplate {hubnamespace}-{username}, which doesn't give alice"},
		"another hub's prefix":          {func(ns *corev1.Namespace) { ns.Name = "jupyterx-alice" }, policy.NameMismatch, "jupyterx-alice"},
		"no user":                       {func(ns *corev1.Namespace) { ns.Name = "jupyter" }, policy.NameMismatch, "jupyter"},
		"a generated name":              {func(ns *corev1.Namespace) { ns.Name, ns.GenerateName = "", "kube-" }, policy.NameMismatch, "which doesn't give kube-"},
		"a label less":                  {func(ns *corev1.Namespace) { delete(ns.Labels, "owner") }, policy.LauncherNotAllowed, "lacks the key owner"},
		"a templated label's beginning": {func(ns *corev1.Namespace) { ns.Labels["owner"] = "alice-here" }, policy.LauncherNotAllowed, "lacks the key owner"},
		"a templated label's end":       {func(ns *corev1.Namespace) { ns.Labels["owner"] = "of-alice" }, policy.LauncherNotAllowed, "lacks the key owner"},
		"a value of no user's":          {func(ns *corev1.Namespace) { ns.Labels["user"] = "Platform_Team" }, policy.LauncherNotAllowed, "lacks the key user"},
		"a dot is a dot":                {func(ns *corev1.Namespace) { ns.Labels["course"] = "c-alice" }, policy.LauncherNotAllowed, "lacks the key course"},
		"after a placeholder":           {func(ns *corev1.Namespace) { ns.Labels["course"] = "c.alice.x" }, policy.LauncherNotAllowed, "lacks the key course"},
		"of an unescaped name":          {func(ns *corev1.Namespace) { ns.Annotations["example.org/who"] = `<Älice> \\E.*` }, "", ""},
		"without its beginning":         {func(ns *corev1.Namespace) { ns.Annotations["example.org/mail"] = "Alice" }, policy.LauncherNotAllowed, "lacks the key example.org/mail"},
		"not governed":                  {func(ns *corev1.Namespace) { delete(ns.Labels, "slipway.dev/governed") }, policy.LauncherNotAllowed, "lacks the key slipway.dev/governed"},
		"governed but not so":           {func(ns *corev1.Namespace) { ns.Labels["slipway.dev/governed"] = "false" }, policy.LauncherNotAllowed, "slipway.dev/governed, or has it with another value"},
		"a weaker value":                {func(ns *corev1.Namespace) { ns.Labels["tier"] = "research" }, policy.LauncherNotAllowed, "lacks the key tier"},
		"a label more": {func(ns *corev1.Namespace) { ns.Labels["pod-security.kubernetes.io/enforce"] = "privileged" }, policy.LauncherNotAllowed,
			"has the key pod-security.kubernetes.io/enforce, which isn't among the userNamespaceLabels"},
		"an annotation less": {func(ns *corev1.Namespace) { ns.Annotations = nil }, policy.LauncherNotAllowed, "lacks the key example.org/"},
		"another annotation": {func(ns *corev1.Namespace) { ns.Annotations["example.org/quota"] = "large" }, policy.LauncherNotAllowed, "lacks the key example.org/quota"},
		"an annotation more": {func(ns *corev1.Namespace) {
			ns.Annotations["scheduler.alpha.kubernetes.io/node-selector"] = "pool=core"
		}, policy.LauncherNotAllowed, "has the key scheduler.alpha.kubernetes.io/node-selector"},
		"no hub":                {func(ns *corev1.Namespace) { delete(ns.Labels, policy.LabelHub) }, policy.LauncherNotAllowed, "may create only namespaces with the label slipway.dev/hub"},
		"an empty hub":          {func(ns *corev1.Namespace) { ns.Labels[policy.LabelHub] = "" }, policy.LauncherNotAllowed, "slipway.dev/hub"},
		"a hub of another kind": {func(ns *corev1.Namespace) { ns.Labels[policy.LabelHub] = "other" }, policy.LauncherNotAllowed, "isn't for hub other"},
		"an owner": {func(ns *corev1.Namespace) {
			ns.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "default", UID: "1"}}
		}, policy.LauncherNotAllowed, "must be empty"},
		"a finalizer": {func(ns *corev1.Namespace) { ns.Finalizers = []string{"example.org/mine"} }, policy.LauncherNotAllowed, "must be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := alicesNamespace()
			c.change(ns)
			_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if c.code == "" {
				assert.NoError(t, err)
				return
			}
			requireDenied(t, err, c.code, c.says)
		})
	}
	t.Run("another account creates what it likes", func(t *testing.T) {
		_, err := a.operator.CoreV1().Namespaces().Create(t.Context(), namespaceOf("anything", "kind", "user"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		assert.NoError(t, err)
	})
	t.Run("what the engine gives, it stores", func(t *testing.T) {
		_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), alicesNamespace(), metav1.CreateOptions{})
		require.NoError(t, err)
	})
}

// A policy for every hub can still say which hubs an account launches for.
func TestALauncherCreatesNamespacesOfItsOwnHubsAlone(t *testing.T) {
	a := forTest(t)
	a.userNamespacesFor(t, `launchers: [{serviceAccount: {namespace: jupyter, name: hub}, hubs: [main]}, {serviceAccount: {namespace: jupyter, name: other}}]`, dictated)
	a.closeGate(t)
	create := func(hub string) error {
		ns := alicesNamespace()
		ns.Name, ns.Labels["owner"], ns.Labels[policy.LabelHub] = "jupyter-carol", "of-carol-here", hub
		_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	require.NoError(t, create("main"))
	requireDenied(t, create("second"), policy.LauncherNotAllowed, "among the launchers of hub second")
}

func TestNamesOfNamespacesFollowTheTemplate(t *testing.T) {
	a := forTest(t)
	for template, names := range map[string]map[string]bool{
		"u-{username}-x":             {"u-alice-x": true, "u-alice": false, "u--x": false, "xu-alice-x": false, "u-alice-xy": false},
		"x-{hubnamespace}":           {"x-jupyter": true, "x-jupyter-alice": false, "x-other": false},
		"n-{username}--{servername}": {"n-alice--lab": true, "n-alice": true, "n": false},
		"n-{userid}.{username}":      {},
		"[a-z]{username}":            {},
	} {
		t.Run(template, func(t *testing.T) {
			if len(names) == 0 {
				err := a.TryPut(t, "", "kind: ClusterSpawnPolicy\nmetadata: {name: x}\nspec: {"+fmt.Sprintf(onlyNames, template)+"}")
				require.ErrorContains(t, err, "gives no name for a namespace")
				return
			}
			a.userNamespaces(t, fmt.Sprintf(onlyNames, template))
			a.closeGate(t)
			for name, may := range names {
				_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), namespaceOf(name), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if may {
					assert.NoError(t, err, name)
				} else {
					requireDenied(t, err, policy.NameMismatch, name)
				}
			}
		})
	}
}

// A template that admission wasn't asked about can't widen the pattern by what means something in a regular expression.
func TestATemplateIsNoRegularExpression(t *testing.T) {
	a := forTest(t)
	a.Gate.Unjudge("", world.UserNamespacePolicy)
	a.userNamespaces(t, `defaults: {enableUserNamespaces: true, userNamespaceTemplate: ".*|{username}"}`)
	a.closeGate(t)
	_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), namespaceOf("anything"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	requireDenied(t, err, policy.NameMismatch, "anything")
}

func TestWithoutUserNamespacesInItsPolicyALauncherCreatesNone(t *testing.T) {
	a := forTest(t)
	a.userNamespaces(t, `defaults: {enableUserNamespaces: true}, enforced: {enableUserNamespaces: false}`)
	a.closeGate(t)
	_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), namespaceOf("jupyter-alice"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	requireDenied(t, err, policy.LauncherNotAllowed, "doesn't set enableUserNamespaces")
}

// Without the parameter there are no user namespaces; but everybody else creates namespaces as ever.
func TestWithoutItsPolicyALauncherCreatesNoNamespace(t *testing.T) {
	a := forTest(t)
	a.closeGate(t)
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	_, err := a.hub.CoreV1().Namespaces().Create(t.Context(), namespaceOf("jupyter-alice"), dry)
	require.True(t, apierrors.IsForbidden(err) || apierrors.IsInvalid(err), "%v", err)
	assert.ErrorContains(t, err, "slipway-user-namespaces")
	plain := namespaceOf("anything")
	maps.DeleteFunc(plain.Labels, func(string, string) bool { return true })
	_, err = a.operator.CoreV1().Namespaces().Create(t.Context(), plain, dry)
	assert.NoError(t, err)
}

// Policies are selected by the labels of namespaces.
func TestALauncherChangesNoNamespace(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	r := a.hub.dynamic.Resource(namespaces)
	for _, subresource := range []string{"", "status", "finalize"} {
		for name, way := range ways {
			if subresource == "finalize" && name != "update" { // it takes nothing else
				continue
			}
			t.Run(name+" of namespaces "+subresource, func(t *testing.T) {
				err := way(t.Context(), r, ns, change{labels: map[string]any{"tier": "research"}}, strings.Fields(subresource)...)
				requireDenied(t, err, policy.LauncherNotAllowed, "may change no namespace")
			})
		}
	}
}
