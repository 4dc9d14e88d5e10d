package apiserver

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// ownNamespaces gives users of a hub that no other test has namespaces of their own, and members of a team the team's, NAMESPACE.
const ownNamespaces = `
kind: ClusterSpawnPolicy
metadata: {name: ` + world.UserNamespacePolicy + `}
spec:
  hubs: [own]
  namespaceSelector: {matchLabels: {slipway.dev/hub: own}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
  enforced:
    image: quay.io/jupyter/minimal-notebook:2026-01-05
    enableUserNamespaces: true
    userNamespaceTemplate: own-{username}
    userNamespaceLabels: {slipway.dev/governed: "true", owner: "{username}"}
    userNamespaceAnnotations: {example.org/who: "{unescaped_username}"}
---
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  priority: 1
  hubs: [own]
  groups: [team]
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]
  defaults: {image: quay.io/jupyter/minimal-notebook:2026-01-05}
  expressions: {namespace: "'NAMESPACE'"}
`

func zoeStarts(server string, groups ...string) launcher.Request {
	return launcher.Request{Key: launcher.Key{Hub: "own", User: "Zoe", Name: server}, StartID: "one", Groups: groups, Timeout: world.Soon}
}

// removeLater takes a namespace away that a launcher made. No controller is there to finish that; it is enough that it ends with the cluster.
func removeLater(t *testing.T, w *world.World, namespace string) {
	t.Helper()
	t.Cleanup(func() {
		_ = w.Admin.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), namespace, metav1.DeleteOptions{}) // it may not be there
	})
}

// giveAccount does what a controller does that doesn't run here: a moment after a namespace is there, it gets a service account, without which
// no pod can be created in it.
func giveAccount(t *testing.T, w *world.World, namespace string) {
	t.Helper()
	given := make(chan error, 1)
	go func() {
		given <- world.Eventually(t.Context(), func() error {
			if _, err := w.Admin.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); err != nil {
				return err
			}
			return w.Cluster.EnsureServiceAccount(t.Context(), namespace, "default")
		})
	}()
	t.Cleanup(func() { assert.NoError(t, <-given) })
}

// By the chart's rights, and held by its admission policies to what policy dictates.
func TestAServerStartsInANamespaceOfItsUsersOwn(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, ownNamespaces)
	l := aLauncher(t, w, ns, func(c *launcher.Config) { c.Namespaces, c.Hubs, c.UserNamespaces = nil, []string{"own"}, true })
	own := "own-" + policy.SafeSlug("Zoe")
	removeLater(t, w, own)
	giveAccount(t, w, own)
	for _, server := range []string{"", "lab"} {
		started, err := l.Start(t.Context(), zoeStarts(server))
		require.NoError(t, err)
		assert.Equal(t, own, started.Namespace)
	}
	made, err := w.Admin.CoreV1().Namespaces().Get(t.Context(), own, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		corev1.LabelMetadataName: own, policy.LabelHub: "own", "slipway.dev/governed": "true", "owner": policy.SafeSlug("Zoe"),
	}, made.Labels)
	assert.Equal(t, map[string]string{"example.org/who": "Zoe"}, made.Annotations)
	assert.Len(t, podsOf(t, w, own), 2)

	t.Run("a member of a team starts in the team's", func(t *testing.T) {
		started, err := l.Start(t.Context(), zoeStarts("team", "team"))
		require.NoError(t, err)
		assert.Equal(t, ns, started.Namespace)
	})
	t.Run("not in somebody else's", func(t *testing.T) {
		request := zoeStarts("elsewhere")
		request.Namespace = ns
		_, err := l.Start(t.Context(), request)
		assert.ErrorContains(t, err, "NoPolicy", "the hub has no say in it")
	})
	t.Run("nor in one that only has the name", func(t *testing.T) {
		_, err := w.Admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: "own-bob", Labels: map[string]string{policy.LabelHub: "own", "slipway.dev/governed": "true", "owner": "mallory"},
		}}, metav1.CreateOptions{})
		require.NoError(t, err)
		removeLater(t, w, "own-bob")
		request := zoeStarts("")
		request.User = "bob"
		_, err = l.Start(t.Context(), request)
		require.ErrorContains(t, err, `namespace own-bob has label owner="mallory", where policy says "bob"`)
		assert.Empty(t, podsOf(t, w, "own-bob"))
	})
}

const accountMakesNamespaces = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  hubs: [NAMESPACE]
  namespaceSelector: {matchLabels: {slipway.dev/hub: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: NAMESPACE, name: launcher}}]
  defaults: {image: none, enableUserNamespaces: true, userNamespaceTemplate: "x-{username}-NAMESPACE"}
`

func TestEveryRightThatAUsersNamespaceTakesIsNeeded(t *testing.T) {
	w := world.ForTest(t)
	for _, right := range launcherRights(t).Each() {
		if right.Resource != "namespaces" {
			continue
		}
		t.Run(strings.ReplaceAll(right.String(), " ", "-"), func(t *testing.T) {
			ns := w.Namespace(t)
			w.Put(t, ns, accountMakesNamespaces)
			config, err := w.Account(t.Context(), ns, "launcher", launcherRights(t).Without(func(r world.Right) bool { return r == right }).Everywhere)
			require.NoError(t, err)
			refused := refusalOf(config, right)
			l, err := launcher.New(launcher.Config{Rest: config, Hubs: []string{ns}, UserNamespaces: true})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				assert.NoError(t, <-ended)
			})
			_, err = l.Start(t.Context(), launcher.Request{Key: launcher.Key{Hub: ns, User: "zoe"}, StartID: "one", Timeout: world.Soon})
			require.Error(t, err)
			select {
			case <-refused:
			case <-time.After(world.Soon):
				t.Errorf("it does without the right to %s", right)
			}
		})
	}
}
