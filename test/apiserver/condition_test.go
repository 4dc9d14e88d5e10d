package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// replicaLeases are those by which replicas report.
const replicaLeases = "app.kubernetes.io/component=webhook-replica"

// enforced reads a policy's condition and whether it speaks of its generation.
func enforced(t *testing.T, w *world.World, kind, namespace, name string) (c metav1.Condition, generation int64) {
	t.Helper()
	object, err := w.Policies(kind, namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	data, err := json.Marshal(object)
	require.NoError(t, err)
	policy := v1alpha1.SpawnPolicy{}
	require.NoError(t, json.Unmarshal(data, &policy))
	if found := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionEnforced); found != nil {
		assert.Equal(t, found.ObservedGeneration, policy.Status.ObservedGeneration)
		c = *found
	}
	return c, object.GetGeneration()
}

// awaitEnforced waits until the condition of a policy's generation is this, and its message has that in it.
func awaitEnforced(t *testing.T, w *world.World, kind, namespace, name string, status metav1.ConditionStatus, says string) {
	t.Helper()
	require.NoError(t, world.Eventually(t.Context(), func() error {
		c, generation := enforced(t, w, kind, namespace, name)
		if c.Status != status || c.ObservedGeneration != generation || !strings.Contains(c.Message, says) {
			return fmt.Errorf("generation %d has %+v", generation, c)
		}
		return nil
	}))
}

func TestAPolicyIsEnforcedOnceBothReplicasAnswerByIt(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	started := time.Now()
	w.Put(t, ns, world.HubLaunches, course)
	for kind, name := range map[string]string{"SpawnPolicy": "course", "ClusterSpawnPolicy": ns} {
		awaitEnforced(t, w, kind, ns, name, metav1.ConditionTrue, "All replicas of the webhook (2) answer by generation 1.")
	}
	t.Logf("enforced %s after it was written", time.Since(started).Round(time.Millisecond))

	leases, err := w.Admin.CoordinationV1().Leases(world.OwnNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: replicaLeases})
	require.NoError(t, err)
	require.Len(t, leases.Items, 2)
	for _, l := range leases.Items {
		assert.Equal(t, leases.Items[0].Annotations["slipway.dev/policies"], l.Annotations["slipway.dev/policies"])
		assert.NotEmpty(t, l.Annotations["slipway.dev/policies"])
	}

	out, err := w.Cluster.Kubectl(t.Context(), nil, "get", "sp", "-n", ns)
	require.NoError(t, err)
	assert.Regexp(t, `course .* True +True +0 +0 +\d+s`, out)

	t.Run("a new generation is not, until it is", func(t *testing.T) {
		client := w.Policies("SpawnPolicy", ns)
		untouched, err := w.Policies("ClusterSpawnPolicy", ns).Get(t.Context(), ns, metav1.GetOptions{})
		require.NoError(t, err)
		changed := time.Now()
		_, err = client.Patch(t.Context(), "course", types.MergePatchType, []byte(`{"spec":{"defaults":{"image":"quay.io/jupyter/other:2"}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
		awaitEnforced(t, w, "SpawnPolicy", ns, "course", metav1.ConditionFalse, "generation 2")
		awaitEnforced(t, w, "SpawnPolicy", ns, "course", metav1.ConditionTrue, "(2) answer by generation 2.")
		assert.Greater(t, time.Since(changed), 5*time.Second, "older answers were still good")
		same, err := w.Policies("ClusterSpawnPolicy", ns).Get(t.Context(), ns, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, untouched.GetResourceVersion(), same.GetResourceVersion(), "another policy isn't written")
	})
}

// cutOff makes a replica's Lease unreachable for it, as a network can.
func cutOff(config *rest.Config) *atomic.Bool {
	off := &atomic.Bool{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if off.Load() && strings.Contains(r.URL.Path, "/leases") {
				return nil, errors.New("cut off")
			}
			return next.RoundTrip(r)
		})
	})
	return off
}

func TestAPolicyIsNotEnforcedWhileAReplicaThatEndedWithoutAWordMayLive(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	config, err := w.WebhookAccount(t.Context(), world.OwnNamespace, "silent", world.WebhookRights(t))
	require.NoError(t, err)
	off := cutOff(config)
	r, err := world.StartReplica(t.Context(), config, func(o *webhook.Options) { o.Identity = "silent" })
	require.NoError(t, err)
	lease := awaitLease(t, w, "slipway-webhook-silent")
	assert.Equal(t, int32(15), *lease.Spec.LeaseDurationSeconds)
	off.Store(true)
	r.Stop()
	require.NoError(t, <-r.Ended, "that it can't report is no reason to fail")

	w.Put(t, ns, course)
	awaitEnforced(t, w, "SpawnPolicy", ns, "course", metav1.ConditionFalse, "2 of 3 replicas of the webhook answer by generation 1.")
	awaitEnforced(t, w, "SpawnPolicy", ns, "course", metav1.ConditionTrue, "(2)")
	assert.GreaterOrEqual(t, time.Since(lease.Spec.RenewTime.Time), 15*time.Second)
	require.NoError(t, world.Eventually(t.Context(), func() error { return leaseIsGone(t, w, "slipway-webhook-silent") }))
}

func TestAReplicaThatEndsWithdrawsItsReport(t *testing.T) {
	w := world.ForTest(t)
	config, err := w.WebhookAccount(t.Context(), world.OwnNamespace, "leaving", world.WebhookRights(t))
	require.NoError(t, err)
	r, err := world.StartReplica(t.Context(), config, func(o *webhook.Options) { o.Identity = "leaving" })
	require.NoError(t, err)
	awaitLease(t, w, "slipway-webhook-leaving")
	r.Stop()
	require.NoError(t, <-r.Ended)
	assert.NoError(t, leaseIsGone(t, w, "slipway-webhook-leaving"))
}

func awaitLease(t *testing.T, w *world.World, name string) *coordinationv1.Lease {
	t.Helper()
	var lease *coordinationv1.Lease
	require.NoError(t, world.Eventually(t.Context(), func() error {
		var err error
		lease, err = w.Admin.CoordinationV1().Leases(world.OwnNamespace).Get(t.Context(), name, metav1.GetOptions{})
		return err
	}))
	return lease
}

func leaseIsGone(t *testing.T, w *world.World, name string) error {
	t.Helper()
	_, err := w.Admin.CoordinationV1().Leases(world.OwnNamespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("lease %s is still there (%w)", name, err)
}
