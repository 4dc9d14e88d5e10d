package apiserver

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

const deletable = `
kind: SpawnPolicy
metadata: {name: deletable}
spec: {deleteClaims: true}
`

// requestDeletion asks for alice's home to be deleted, as the hub's launcher.
func (c *companionTest) requestDeletion(t *testing.T) {
	t.Helper()
	patch := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"patch"}}}
	require.NoError(t, c.GrantIn(t.Context(), c.namespace, "delete-claims", world.HubNamespace, world.HubAccount, patch))
	_, err := c.Hub.CoreV1().PersistentVolumeClaims(c.namespace).Patch(t.Context(), "claim-alice", types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, policy.AnnotationDeleteRequested, hubUser), metav1.PatchOptions{})
	require.NoError(t, err)
}

// hasHome has alice's claims made, and no server any more.
func (c *companionTest) hasHome(t *testing.T) {
	t.Helper()
	pod := c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	c.awaitClaim(t, "scratch-alice", nil)
	c.Remove(t, pod)
}

func isDeleted(claim *corev1.PersistentVolumeClaim) error {
	if claim.DeletionTimestamp == nil { // what protects claims holds it back after that, and would let it go
		return errors.New("it isn't deleted")
	}
	return nil
}

func isNotRequested(claim *corev1.PersistentVolumeClaim) error {
	if claim.Annotations[policy.AnnotationDeleteRequested] != "" {
		return errors.New("the request is still there")
	}
	return nil
}

func TestAClaimIsDeletedWhereALauncherAsksAndPolicyLetsIt(t *testing.T) {
	c := newCompanionTest(t, home, deletable)
	c.hasHome(t)
	c.requestDeletion(t)
	c.awaitClaim(t, "claim-alice", isDeleted)
	assert.Error(t, isDeleted(c.awaitClaim(t, "scratch-alice", nil)), "nobody asked for this one")
}

func TestAClaimIsKeptWherePolicyDoesNotSayDelete(t *testing.T) {
	for name, c := range map[string]struct{ manifest, says string }{
		"nothing said":     {"", `no policy for user "alice" of hub "main" says deleteClaims: true`},
		"another says no":  {deletable + "---\nkind: SpawnPolicy\nmetadata: {name: kept}\nspec: {deleteClaims: false}\n", "/kept says deleteClaims: false"},
		"another launcher": {"kind: SpawnPolicy\nmetadata: {name: other}\nspec: {deleteClaims: true, launchers: [{serviceAccount: {namespace: jupyter, name: hub}, hubs: [main], users: [alice]}]}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := []string{home}
			if c.manifest != "" {
				manifests = append(manifests, c.manifest)
			}
			ct := newCompanionTest(t, manifests...)
			ct.hasHome(t)
			if c.says == "" { // the launcher's entry is for another user by now
				ct.change(t, "other", `{"spec":{"launchers":[{"serviceAccount":{"namespace":"jupyter","name":"hub"},"users":["bob"]}]}}`)
				c.says = `may not launch for user "alice"`
			}
			ct.requestDeletion(t)
			claim := ct.awaitClaim(t, "claim-alice", isNotRequested)
			require.Error(t, isDeleted(claim))
			message := ct.awaitEvent(t, "PersistentVolumeClaim", "claim-alice", "ClaimNotDeleted")
			assert.Contains(t, message, "claim claim-alice isn't deleted, though "+hubUser+" asked for it: ")
			assert.Contains(t, message, c.says)
		})
	}
}

func TestAClaimIsNotDeletedUnderARunningServer(t *testing.T) {
	c := newCompanionTest(t, home, deletable)
	pod := c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	c.requestDeletion(t)
	claim := c.awaitClaim(t, "claim-alice", isNotRequested)
	require.Error(t, isDeleted(claim))
	assert.Contains(t, c.awaitEvent(t, "PersistentVolumeClaim", "claim-alice", "ClaimNotDeleted"), "server jupyter-alice still runs: stop it first")

	// The end of the server doesn't carry out what was refused.
	c.Remove(t, pod)
	c.launch(t)
	c.removeClaim(t, "scratch-alice")
	c.awaitClaim(t, "scratch-alice", nil) // so the pod was seen to since
	kept := c.awaitClaim(t, "claim-alice", nil)
	assert.Equal(t, claim.UID, kept.UID)
	require.Error(t, isDeleted(kept), "what protects claims would hold it back for the new server")
}

func TestADeletionWaitsForAServerThatEnds(t *testing.T) {
	c := newCompanionTest(t, home, deletable)
	pod := c.launch(t)
	c.awaitClaim(t, "claim-alice", nil)
	pods := c.Admin.CoreV1().Pods(c.namespace)
	_, err := pods.Patch(t.Context(), pod.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":["test.example/held"]}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.Remove(t, pod)
	c.requestDeletion(t)
	assert.Error(t, isDeleted(c.awaitClaim(t, "claim-alice", nil)))
	_, err = pods.Patch(t.Context(), pod.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.awaitClaim(t, "claim-alice", isDeleted)
}

// One home for all servers of a user carries the name of the one that came first, which isn't the last that wants it.
func TestAHomeOfAllServersGoesWithItsUserAlone(t *testing.T) {
	c := newCompanionTest(t, home, deletable, "\nkind: SpawnPolicy\nmetadata: {name: shared}\nspec: {enforced: {pvcNameTemplate: 'claim-{username}'}}\n")
	l := aLauncher(t, c.World, c.namespace)
	request := aliceStarts("one")
	request.Name = "lab"
	_, err := l.Start(t.Context(), request)
	require.NoError(t, err)
	claim := c.awaitClaim(t, "claim-alice", nil)
	require.Equal(t, "lab", claim.Annotations[policy.AnnotationServername])
	own := "scratch-" + policy.SafeUserServer("alice", "lab")
	c.awaitClaim(t, own, nil)
	now := time.Duration(0)
	left, err := l.Stop(t.Context(), request.Key, launcher.StopOptions{GracePeriod: &now, Wait: world.Soon})
	require.NoError(t, err)
	require.Nil(t, left)

	asked, err := l.DeleteClaims(t.Context(), request.Key, false)
	require.NoError(t, err)
	require.Len(t, asked, 1)
	assert.Equal(t, own, asked[0].Name)
	c.awaitClaim(t, own, isDeleted)
	claim = c.awaitClaim(t, "claim-alice", nil)
	require.Error(t, isDeleted(claim))
	require.NoError(t, isNotRequested(claim))

	_, err = l.DeleteClaims(t.Context(), launcher.Key{Hub: "main", User: "alice"}, true)
	require.NoError(t, err)
	c.awaitClaim(t, "claim-alice", isDeleted)
}
