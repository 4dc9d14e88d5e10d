package apiserver

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

// class makes the storage class that is called like the namespace.
func (c *companionTest) class(t *testing.T, expands bool) {
	t.Helper()
	_, err := c.Admin.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: c.namespace}, Provisioner: "test", AllowVolumeExpansion: &expands,
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	if !expands {
		return
	}
	spec := c.engine(t).Claim.Spec
	spec.StorageClassName = &c.namespace
	api := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace)
	probe, err := api.Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.bind(t, probe)
	require.NoError(t, world.Eventually(t.Context(), func() error { // the API server takes a moment to see the class
		_, err := api.Patch(t.Context(), "probe", types.MergePatchType, []byte(`{"spec":{"resources":{"requests":{"storage":"1Ti"}}}}`),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}))
}

// bind does what a provisioner does.
func (c *companionTest) bind(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	claim.Status.Phase, claim.Status.Capacity = corev1.ClaimBound, claim.Spec.Resources.Requests
	_, err := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace).UpdateStatus(t.Context(), claim, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func hasSize(text string) func(*corev1.PersistentVolumeClaim) error {
	return func(claim *corev1.PersistentVolumeClaim) error {
		if got := claim.Spec.Resources.Requests[corev1.ResourceStorage]; got.Cmp(quantity(text)) != 0 {
			return fmt.Errorf("it has %s", got.String())
		}
		return nil
	}
}

func TestAClaimGrowsWithPolicyAndNeverShrinks(t *testing.T) {
	c := newCompanionTest(t, home)
	c.class(t, true)
	c.launch(t)
	c.change(t, "home", `{"spec":{"defaults":{"storageCapacity":"20Gi"}}}`)
	claim := c.awaitClaim(t, "claim-alice", nil)
	c.bind(t, claim) // only then it can grow, which is heard of
	c.awaitClaim(t, "claim-alice", hasSize("20Gi"))

	c.change(t, "home", `{"spec":{"defaults":{"storageCapacity":"30Gi"}}}`)
	c.awaitClaim(t, "claim-alice", hasSize("30Gi"))

	c.change(t, "home", `{"spec":{"defaults":{"storageCapacity":"5Gi"}}}`)
	c.removeClaim(t, "scratch-alice")
	c.awaitClaim(t, "scratch-alice", nil) // so the pod was seen to since
	c.awaitClaim(t, "claim-alice", hasSize("30Gi"))
}

func TestAClassThatDoesNotLetClaimsGrowIsAnEvent(t *testing.T) {
	c := newCompanionTest(t, home)
	c.class(t, false)
	pod := c.launch(t)
	c.bind(t, c.awaitClaim(t, "claim-alice", nil))
	c.change(t, "home", `{"spec":{"defaults":{"storageCapacity":"20Gi"}}}`)
	assert.Contains(t, c.awaitEvent(t, "Pod", pod.Name, "ClaimNotGrown"), "claim claim-alice has 10Gi and can't be grown to 20Gi: only dynamically provisioned pvc can be resized")
	c.awaitClaim(t, "claim-alice", hasSize("10Gi"))
}

// Anybody who may create claims may have made it, and it may be in use elsewhere.
func TestAClaimThatSaysNothingOfItselfIsUsedAndNotTouched(t *testing.T) {
	c := newCompanionTest(t, home)
	c.class(t, true)
	spec := c.engine(t).Claim.Spec
	api := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace)
	planted, err := api.Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "claim-alice"}, Spec: spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.bind(t, planted)
	c.launch(t)
	c.change(t, "home", `{"spec":{"defaults":{"storageCapacity":"20Gi"}}}`)
	c.awaitClaim(t, "scratch-alice", nil)
	c.removeClaim(t, "scratch-alice")
	c.awaitClaim(t, "scratch-alice", nil) // so the pod was seen to since
	got := c.awaitClaim(t, "claim-alice", hasSize("10Gi"))
	assert.Equal(t, planted.UID, got.UID)
	assert.Empty(t, got.Labels)
	assert.Empty(t, got.Annotations)
}

// A claim of another user under the template's name is no home, and nobody makes or changes one because of it.
func TestAClaimOfAnotherUserIsNeverTouched(t *testing.T) {
	c := newCompanionTest(t, home)
	planted := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "claim-alice", Annotations: map[string]string{policy.AnnotationUsername: "mallory"}}, Spec: c.engine(t).Claim.Spec,
	}
	_, err := c.Admin.CoreV1().PersistentVolumeClaims(c.namespace).Create(t.Context(), planted, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, world.Eventually(t.Context(), func() error { // a replica takes a moment to hear of it
		_, err := launcher.Launch(t.Context(), c.Hub, world.Alice, c.namespace, launcher.Options{DryRun: true})
		if err == nil {
			return fmt.Errorf("it isn't heard of yet")
		}
		world.RequireDenied(t, err, policy.IdentityConflict, "pvcNameTemplate")
		return nil
	}))
}
