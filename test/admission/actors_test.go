// Package admission tests the admission policies of the chart, which hold inside the API server: nearly all of it while no
// webhook answers, by accounts that RBAC lets do everything, so that nothing but a policy can refuse them.
package admission

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// actors are accounts with tokens of their own. Each has every right in the core group.
type actors struct {
	*world.World
	// hub is the launcher's account.
	hub *actor
	// operator is listed nowhere.
	operator *actor
	// companion makes home claims, and platform may take the mark off a governed namespace.
	companion, platform *actor
	// replicaSets and daemonSets are controllers' accounts; of these two the chart's values list that of DaemonSets.
	replicaSets, daemonSets *actor
}

// actor is one account's clients.
type actor struct {
	kubernetes.Interface

	dynamic dynamic.Interface
}

func newActor(config *rest.Config) *actor {
	return &actor{Interface: kubernetes.NewForConfigOrDie(config), dynamic: dynamic.NewForConfigOrDie(config)}
}

// everything is what RBAC lets the actors do.
var everything = []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"*"}, Verbs: []string{"*"}}}

var (
	once   sync.Once
	shared *actors
)

// forTest gives the actors; the first call makes them.
func forTest(t *testing.T) *actors {
	t.Helper()
	w := world.ForTest(t)
	once.Do(func() {
		a := &actors{World: w, hub: newActor(w.HubRest)}
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, w.Grant(ctx, "test-hub-everything", world.HubNamespace, world.HubAccount, everything))
		require.NoError(t, w.Grant(ctx, "test-companion-everything", world.OwnNamespace, "slipway-webhook", everything))
		for _, account := range []struct {
			actor           **actor
			namespace, name string
		}{
			{&a.operator, world.HubNamespace, "operator"},
			{&a.platform, world.OwnNamespace, "platform"},
			{&a.replicaSets, metav1.NamespaceSystem, "replicaset-controller"},
			{&a.daemonSets, metav1.NamespaceSystem, "daemon-set-controller"},
		} {
			config, err := w.Account(ctx, account.namespace, account.name, everything)
			require.NoError(t, err)
			*account.actor = newActor(config)
		}
		companion, err := w.Token(ctx, world.OwnNamespace, "slipway-webhook")
		require.NoError(t, err)
		a.companion = newActor(companion)
		shared = a
	})
	require.NotNil(t, shared, "the first test could not make the actors")
	return shared
}

// owner fits a pod with an annotation that is called like the policy, so slipway.dev/applied names it.
const owner = `
kind: SpawnPolicy
metadata: {name: owner}
spec: {defaults: {image: "quay.io/jupyter/good:1", memLimit: 1Gi, memGuarantee: 1Gi, extraAnnotations: {owner: platform}}}
`

// launchable is a namespace with policies by which the hub launches alice's server.
func (a *actors) launchable(t *testing.T) (namespace string) {
	t.Helper()
	namespace = a.Namespace(t)
	a.Put(t, namespace, world.HubLaunches, owner)
	return namespace
}

// runningServer is alice's pod in a namespace of its own.
func (a *actors) runningServer(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, err := a.Launch(t, a.launchable(t), nil)
	require.NoError(t, err)
	return pod
}

// closeGate makes the webhook unreachable for the rest of the test.
func (a *actors) closeGate(t *testing.T) {
	t.Helper()
	a.Gate.Closed.Store(true)
	t.Cleanup(func() { a.Gate.Closed.Store(false) })
}

// plain is a pod that no hub asked for.
func plain(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "busybox"}}},
	}
}

// requireDenied reads the denial as the launcher does.
func requireDenied(t *testing.T, err error, code policy.Code, says string) {
	t.Helper()
	require.Error(t, err)
	denied, ok := errors.AsType[*launcher.Denied](launcher.Explain(err))
	require.True(t, ok, "not a denial: %v", err)
	assert.Equal(t, []policy.Code{code}, denied.Codes())
	assert.Contains(t, denied.Error(), says)
	assert.NotContains(t, denied.Error(), "\n", "it is one sentence")
}
