package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// home is a policy with a home, and a claim beside it.
const home = `
kind: SpawnPolicy
metadata: {name: home}
spec:
  defaults:
    image: quay.io/jupyter/minimal-notebook:2026-01-05
    storagePvcEnsure: true
    storageCapacity: 10Gi
    storageClass: NAMESPACE
    storageAccessModes: [ReadWriteOnce, ReadOnlyMany]
    storageSelector: {matchLabels: {owner: "{username}"}, matchExpressions: [{key: tier, operator: In, values: [fast]}]}
    storageExtraLabels: {backup: nightly}
    storageExtraAnnotations: {note: "home of {unescaped_username}"}
    claims: {scratch: {storageCapacity: 50Gi, accessModes: [ReadWriteMany], extraLabels: {backup: never}}}
    volumes:
      home: {persistentVolumeClaim: {claimName: "{pvc_name}"}}
      scratch: {persistentVolumeClaim: {claimName: "scratch-{user_server}"}}
`

// companionTest is a namespace in which alice has a home.
type companionTest struct {
	*world.World
	namespace string
}

func newCompanionTest(t *testing.T, manifests ...string) *companionTest {
	t.Helper()
	w := world.ForTest(t)
	c := &companionTest{w, w.Namespace(t)}
	w.Put(t, c.namespace, append([]string{world.HubLaunches}, manifests...)...)
	return c
}

// launch starts alice's server, and takes it away with the test: no kubelet would.
func (c *companionTest) launch(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, err := c.Launch(t, c.namespace, nil)
	require.NoError(t, err)
	return pod
}

// awaitClaim waits for a claim that is as it should be.
func (c *companionTest) awaitClaim(t *testing.T, name string, as func(*corev1.PersistentVolumeClaim) error) *corev1.PersistentVolumeClaim {
	t.Helper()
	var claim *corev1.PersistentVolumeClaim
	require.NoError(t, world.Eventually(t.Context(), func() error {
		var err error
		if claim, err = c.Admin.CoreV1().PersistentVolumeClaims(c.namespace).Get(t.Context(), name, metav1.GetOptions{}); err != nil || as == nil {
			return err
		}
		return as(claim)
	}))
	return claim
}

// awaitEvent waits for an Event about an object.
func (c *companionTest) awaitEvent(t *testing.T, kind, name, reason string) string {
	t.Helper()
	var message string
	require.NoError(t, world.Eventually(t.Context(), func() error {
		events, err := c.Admin.CoreV1().Events(c.namespace).List(t.Context(), metav1.ListOptions{
			FieldSelector: fmt.Sprintf("involvedObject.kind=%s,involvedObject.name=%s,reason=%s", kind, name, reason),
		})
		if err != nil {
			return err
		}
		if len(events.Items) == 0 {
			return fmt.Errorf("no Event %s of %s", reason, name)
		}
		message = events.Items[0].Message
		return nil
	}))
	return message
}

// removeClaim deletes a claim and does what the controller does that protects claims, which doesn't run here.
func (c *companionTest) removeClaim(t *testing.T, name string) types.UID {
	t.Helper()
	api := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace)
	claim, err := api.Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, api.Delete(t.Context(), name, metav1.DeleteOptions{}))
	_, err = api.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		require.NoError(t, err)
	}
	return claim.UID
}

// change patches a policy, and waits until both replicas go by it.
func (c *companionTest) change(t *testing.T, name, patch string) {
	t.Helper()
	_, err := c.Policies("SpawnPolicy", c.namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(t, err)
	c.Settle(t)
}

// engine is what the engine itself says of alice's server, by the policies that are stored.
func (c *companionTest) engine(t *testing.T) policy.Result {
	t.Helper()
	var objects []unstructured.Unstructured
	for _, kind := range []string{"ClusterSpawnPolicy", "SpawnPolicy"} {
		list, err := c.Policies(kind, c.namespace).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		objects = append(objects, list.Items...)
	}
	policies, _ := policy.FromObjects(objects)
	result, err := policy.Compile(policies).Apply(policy.Input{
		Identity: world.Alice, Namespace: policy.Namespace{Name: c.namespace, Labels: map[string]string{"test": c.namespace}},
	})
	require.NoError(t, err)
	require.Empty(t, result.Denials)
	return result
}

func TestAServersClaimsAreMadeAsTheEngineSays(t *testing.T) {
	c := newCompanionTest(t, home)
	c.launch(t)
	want := c.engine(t)
	for _, w := range []*corev1.PersistentVolumeClaim{want.Claim, want.MoreClaims[0]} {
		got := c.awaitClaim(t, w.Name, nil)
		assert.Equal(t, w.Labels, got.Labels)
		assert.Equal(t, w.Annotations, got.Annotations)
		got.Spec.VolumeMode = nil // the API server's own
		gotSpec, err := json.Marshal(got.Spec)
		require.NoError(t, err)
		wantSpec, err := json.Marshal(w.Spec)
		require.NoError(t, err)
		assert.JSONEq(t, string(wantSpec), string(gotSpec))
		assert.Empty(t, got.OwnerReferences, "it outlives the server")
	}
	assert.Equal(t, map[string]string{"owner": "alice"}, want.Claim.Spec.Selector.MatchLabels)
}

// Whoever removes labels afterwards, or adds some, isn't corrected.
func TestLabelsOfAClaimAreWrittenWhenItIsMadeAndNeverAgain(t *testing.T) {
	c := newCompanionTest(t, home)
	c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	_, err := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace).Patch(t.Context(), "claim-alice", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"backup":"weekly","mine":"yes"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.removeClaim(t, "scratch-alice")
	c.awaitClaim(t, "scratch-alice", nil) // so the pod was seen to since
	got := c.awaitClaim(t, "claim-alice", nil)
	assert.Equal(t, "weekly", got.Labels["backup"])
	assert.Equal(t, "yes", got.Labels["mine"])
}

func TestAClaimThatIsDeletedWhileItsServerLivesIsMadeAnew(t *testing.T) {
	c := newCompanionTest(t, home)
	pod := c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	before := c.removeClaim(t, "claim-alice")
	c.awaitClaim(t, "claim-alice", func(claim *corev1.PersistentVolumeClaim) error {
		if claim.UID == before {
			return errors.New("still the old one")
		}
		return nil
	})

	c.Remove(t, pod)
	c.removeClaim(t, "claim-alice")
	// The next server, of somebody else, is seen to after that.
	_, err := launcher.Launch(t.Context(), c.Hub, policy.Identity{Name: "jupyter-bob", Hub: "main", User: "bob"}, c.namespace, launcher.Options{})
	require.NoError(t, err)
	c.awaitClaim(t, "claim-bob", nil)
	_, err = c.Admin.CoreV1().PersistentVolumeClaims(c.namespace).Get(t.Context(), "claim-alice", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "nobody needs it: %v", err)
}

func TestNothingIsMadeUnderANameThatTodaysPolicyDoesNotGive(t *testing.T) {
	c := newCompanionTest(t, home)
	pod := c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	c.change(t, "home", `{"spec":{"defaults":{"pvcNameTemplate":"home-{username}"}}}`)
	c.removeClaim(t, "claim-alice")
	message := c.awaitEvent(t, "Pod", pod.Name, "ClaimNotMade")
	assert.Equal(t, "claim claim-alice isn't made: today's policy gives this server home-alice and scratch-alice; stop the server and start it anew", message)
	claims, err := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, claims.Items, 1)
	assert.Equal(t, "scratch-alice", claims.Items[0].Name)
}

func TestWhatPolicyRefusesTodayIsNotMade(t *testing.T) {
	c := newCompanionTest(t, home)
	pod := c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	c.change(t, "home", `{"spec":{"launchers":[{"serviceAccount":{"namespace":"other","name":"hub"}}]}}`)
	c.removeClaim(t, "claim-alice")
	assert.Contains(t, c.awaitEvent(t, "Pod", pod.Name, "ClaimNotMade"), "claim claim-alice isn't made: SpawnPolicy "+c.namespace+"/home: spec.launchers")
}

// The controller that counts what is used doesn't run here, so the test does.
func TestAQuotaIsAnEventUntilThereIsRoom(t *testing.T) {
	c := newCompanionTest(t, home)
	api := c.Admin.CoreV1().ResourceQuotas(c.namespace)
	quota, err := api.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "small"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"persistentvolumeclaims": quantity("0")}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	setHard := func(n string) {
		quota.Status = corev1.ResourceQuotaStatus{
			Hard: corev1.ResourceList{"persistentvolumeclaims": quantity(n)}, Used: corev1.ResourceList{"persistentvolumeclaims": quantity("0")},
		}
		quota.ResourceVersion = ""
		require.NoError(t, world.Eventually(t.Context(), func() error {
			updated, err := api.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{})
			if err == nil {
				quota = updated
			}
			return err
		}))
	}
	setHard("0")
	require.NoError(t, world.Eventually(t.Context(), func() error { // the API server takes a moment to see it
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "try"}, Spec: c.engine(t).Claim.Spec}
		_, err := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace).Create(t.Context(), claim, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if !apierrors.IsForbidden(err) {
			return fmt.Errorf("the quota doesn't hold yet: %w", err)
		}
		return nil
	}))
	pod := c.launch(t)
	assert.Regexp(t, "^claim (claim|scratch)-alice can't be made: exceeded quota: small, requested: persistentvolumeclaims=1", c.awaitEvent(t, "Pod", pod.Name, "ClaimNotMade"))
	setHard("5")
	c.awaitClaim(t, "claim-alice", nil)
	c.awaitClaim(t, "scratch-alice", nil)
}

// A replica makes nothing as long as another one leads, and takes over when that ends.
func TestOneReplicaMakesCompanionsAtATime(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	config, err := w.WebhookAccount(t.Context(), ns, "webhook", world.WebhookRights(t).Without(func(r world.Right) bool { return strings.HasSuffix(r.Resource, "/status") }))
	require.NoError(t, err)
	start := func(identity string) (*world.Replica, *atomic.Int32) {
		asked := &atomic.Int32{}
		own := rest.CopyConfig(config)
		own.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/api/v1/pods" || r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/persistentvolumeclaims") {
					asked.Add(1)
				}
				return next.RoundTrip(r)
			})
		})
		replica, err := world.StartReplica(t.Context(), own, func(o *webhook.Options) { o.Namespace, o.Identity, o.DrainDelay = ns, identity, 0 })
		require.NoError(t, err)
		t.Cleanup(replica.Stop)
		require.NoError(t, replica.Await(t.Context(), http.StatusOK))
		return replica, asked
	}
	follows := func(asked *atomic.Int32) func() error {
		return func() error {
			if asked.Load() == 0 {
				return errors.New("it doesn't follow pods")
			}
			return nil
		}
	}
	one, byOne := start("one")
	require.NoError(t, world.Eventually(t.Context(), follows(byOne)))
	_, byTwo := start("two")

	c := newCompanionTest(t, home)
	c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	assert.Zero(t, byTwo.Load(), "another one leads")

	one.Stop()
	require.NoError(t, <-one.Ended)
	require.NoError(t, world.Eventually(t.Context(), follows(byTwo)))
	before := c.removeClaim(t, "claim-alice")
	c.awaitClaim(t, "claim-alice", func(claim *corev1.PersistentVolumeClaim) error {
		if claim.UID == before {
			return errors.New("still the old one")
		}
		return nil
	})
}
