package apiserver

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/test/world"
)

// launcherRights are all that the chart can give a launcher.
func launcherRights(t *testing.T) world.Rights {
	t.Helper()
	rights, err := world.RenderRights(t.Context(), "templates/launcher/rbac.yaml", map[string]any{
		"launcher": map[string]any{
			"enabled": true, "clusterWide": true, "userNamespaces": true, "userNamespacePolicy": "own", "podLogs": true, "deleteClaims": true,
			"tls": map[string]any{"secretName": "x"}, "accounts": []any{map[string]any{"namespace": "a", "name": "b", "hubs": []string{"c"}}},
		},
	})
	require.NoError(t, err)
	return rights
}

// Each right of the launcher names the test that fails without it.
func TestEveryRightOfTheLauncherIsAccountedFor(t *testing.T) {
	provedBy := map[string]func(*testing.T){
		"create pods": TestEveryRightThatLaunchUsesIsNeeded,
		"list pods":   TestEveryRightThatLaunchUsesIsNeeded,
		"watch pods":  TestEveryRightThatLaunchUsesIsNeeded,
		"get pods":    TestTheLauncherIsReadyWithItsRightsAlone,
		"delete pods": TestTheLauncherIsReadyWithItsRightsAlone,

		"list spawnpolicies":         TestTheLauncherIsReadyWithItsRightsAlone,
		"list clusterspawnpolicies":  TestTheLauncherIsReadyWithItsRightsAlone,
		"watch spawnpolicies":        TestTheLauncherIsReadyWithItsRightsAlone,
		"watch clusterspawnpolicies": TestTheLauncherIsReadyWithItsRightsAlone,

		"list events":                  TestEveryRightThatALauncherExplainsByIsNeeded,
		"watch events":                 TestEveryRightThatALauncherExplainsByIsNeeded,
		"get persistentvolumeclaims":   TestEveryRightThatALauncherExplainsByIsNeeded,
		"list persistentvolumeclaims":  TestEveryRightThatALauncherExplainsByIsNeeded,
		"patch persistentvolumeclaims": TestAHomeOfAllServersGoesWithItsUserAlone,
		"list resourcequotas":          TestEveryRightThatALauncherExplainsByIsNeeded,
		"get pods/log":                 TestEveryRightThatALauncherExplainsByIsNeeded,

		"create secrets":      TestTheLauncherIsReadyWithItsRightsAlone,
		"create tokenreviews": TestAnotherHubReadsAndStopsNothing,
		"create namespaces":   TestEveryRightThatAUsersNamespaceTakesIsNeeded,
		"get namespaces":      TestEveryRightThatAUsersNamespaceTakesIsNeeded,
	}
	granted := sets.New[string]()
	for _, right := range launcherRights(t).Each() {
		granted.Insert(right.String())
		assert.NotNil(t, provedBy[right.String()], "the chart grants this, and nothing says what for: %s", right)
	}
	assert.Empty(t, sets.List(sets.KeySet(provedBy).Difference(granted)), "the chart doesn't grant these")
}

const accountLaunches = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: NAMESPACE, name: launcher}}]
`

// Launch creates a pod and follows it, by lists where the API server doesn't begin a watch with what is there.
func TestEveryRightThatLaunchUsesIsNeeded(t *testing.T) {
	w := world.ForTest(t)
	for _, right := range launcherRights(t).Each() {
		if right.Resource != "pods" || !sets.New("create", "list", "watch").Has(right.Verb) {
			continue
		}
		t.Run(right.String(), func(t *testing.T) {
			ns := w.Namespace(t)
			w.Put(t, ns, accountLaunches, course)
			left := launcherRights(t).Without(func(r world.Right) bool { return r == right })
			config, err := w.Account(t.Context(), ns, "launcher", left.Everywhere)
			require.NoError(t, err)
			if right.Verb == "list" {
				config.Wrap(withoutStreaming)
			}
			refused := refusalOf(config, right)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := launcher.Launch(ctx, kubernetes.NewForConfigOrDie(config), world.Alice, ns, launcher.Options{Until: launcher.UntilRunning})
				ended <- err
			}()
			select {
			case <-refused:
			case <-time.After(world.Soon):
				t.Errorf("it does without the right to %s", right)
			}
			cancel()
			assert.Error(t, <-ended)
		})
	}
}
