package admission

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

func claim(name string, labels, annotations map[string]string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

// ofAlice says whose home a claim is.
var ofAlice = map[string]string{policy.AnnotationUsername: "alice", policy.AnnotationServername: ""}

func TestOnlyTheCompanionMakesAHome(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	for name, c := range map[string]struct {
		claim *corev1.PersistentVolumeClaim
		field string // empty: anybody may
	}{
		"a home for alice":              {claim("planted", map[string]string{policy.LabelHub: "main"}, ofAlice), "metadata.annotations[hub.jupyter.org/servername]"},
		"a hub's":                       {claim("planted", map[string]string{policy.LabelHub: "main"}, nil), "metadata.labels[slipway.dev/hub]"},
		"a hub's with an empty name":    {claim("planted", map[string]string{policy.LabelHub: ""}, nil), "metadata.labels[slipway.dev/hub]"},
		"an annotation of ours":         {claim("planted", nil, map[string]string{"slipway.dev/delete-requested": "now"}), "metadata.annotations[slipway.dev/delete-requested]"},
		"a plain one":                   {claim("plain", nil, nil), ""},
		"one with labels":               {claim("labelled", map[string]string{"app": "database"}, nil), ""},
		"one as KubeSpawner makes them": {claim("claim-alice", map[string]string{"hub.jupyter.org/username": "alice"}, ofAlice), ""},
	} {
		for who, actor := range map[string]*actor{"anybody": a.operator, "the hub": a.hub} {
			t.Run(name+" by "+who, func(t *testing.T) {
				o := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
				_, err := actor.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), c.claim, o)
				if c.field == "" {
					assert.NoError(t, err)
					return
				}
				requireDenied(t, err, policy.FieldChanged, c.field)
				assert.ErrorContains(t, err, "only system:serviceaccount:slipway-system:slipway-webhook may add, change or remove it")
			})
		}
	}
}

func TestNobodyHandsOverAHome(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	_, err := a.companion.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("home", map[string]string{policy.LabelHub: "main"}, ofAlice), metav1.CreateOptions{})
	require.NoError(t, err)
	r := a.operator.dynamic.Resource(claims).Namespace(ns)
	for name, c := range map[string]change{
		"another hub":                 {labels: map[string]any{policy.LabelHub: "other"}},
		"no hub's any more":           {labels: map[string]any{policy.LabelHub: nil}},
		"another user":                {annotations: map[string]any{policy.AnnotationUsername: "bob"}},
		"another server":              {annotations: map[string]any{policy.AnnotationServername: nil}},
		"a request to delete it":      {annotations: map[string]any{"slipway.dev/delete-requested": "now"}},
		"another user, no hub's then": {labels: map[string]any{policy.LabelHub: nil}, annotations: map[string]any{policy.AnnotationUsername: "bob"}},
	} {
		for wayName, way := range ways {
			if wayName == apply && c.removes() {
				continue
			}
			for _, subresource := range [][]string{nil, {"status"}} {
				t.Run(name+" by "+wayName, func(t *testing.T) {
					requireDenied(t, way(t.Context(), r, "home", c, subresource...), policy.FieldChanged, "of a claim says whose home it is")
				})
			}
		}
	}
	t.Run("other labels by anybody", func(t *testing.T) {
		assert.NoError(t, ways[apply](t.Context(), r, "home", change{labels: map[string]any{"backup": "nightly"}}))
		assert.NoError(t, ways["update"](t.Context(), r, "home", change{annotations: map[string]any{"pv.kubernetes.io/bind-completed": "yes"}}, "status"))
	})
	t.Run("the hub by the companion", func(t *testing.T) {
		c := change{labels: map[string]any{policy.LabelHub: "other"}, annotations: map[string]any{policy.AnnotationUsername: "bob"}}
		assert.NoError(t, ways["merge patch"](t.Context(), a.companion.dynamic.Resource(claims).Namespace(ns), "home", c))
	})
}

func TestKubeSpawnersClaimsStayFreeUntilTheyAreAHubs(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	_, err := a.operator.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("claim-alice", nil, ofAlice), metav1.CreateOptions{})
	require.NoError(t, err)
	r := a.operator.dynamic.Resource(claims).Namespace(ns)
	assert.NoError(t, update(t.Context(), r, "claim-alice", change{annotations: map[string]any{policy.AnnotationUsername: "Alice"}}))
	err = update(t.Context(), r, "claim-alice", change{labels: map[string]any{policy.LabelHub: "main"}})
	requireDenied(t, err, policy.FieldChanged, "metadata.labels[slipway.dev/hub]")
}

// requested is what a launcher writes that asks for a claim to be deleted.
func requested(by string) change {
	return change{annotations: map[string]any{policy.AnnotationDeleteRequested: by}}
}

const hubUser = "system:serviceaccount:jupyter:hub"

func TestALauncherAsksInItsOwnNameForAHomeToBeDeleted(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	api := a.companion.CoreV1().PersistentVolumeClaims(ns)
	_, err := api.Create(t.Context(), claim("home", map[string]string{policy.LabelHub: "main"}, ofAlice), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.Create(t.Context(), claim("kubespawners", nil, ofAlice), metav1.CreateOptions{})
	require.NoError(t, err)
	hub, operator := a.hub.dynamic.Resource(claims).Namespace(ns), a.operator.dynamic.Resource(claims).Namespace(ns)
	const mark = "metadata.annotations[slipway.dev/delete-requested] of a claim says whose home it is"
	for wayName, way := range ways {
		if wayName == apply {
			continue // its field managers would be mixed
		}
		t.Run("by "+wayName, func(t *testing.T) {
			requireDenied(t, way(t.Context(), hub, "home", requested("system:serviceaccount:jupyter:other")), policy.FieldChanged, mark)
			requireDenied(t, way(t.Context(), hub, "home", requested("now")), policy.FieldChanged, mark)
			requireDenied(t, way(t.Context(), hub, "kubespawners", requested(hubUser)), policy.FieldChanged, mark)
			requireDenied(t, way(t.Context(), operator, "home", requested("system:serviceaccount:jupyter:operator")), policy.FieldChanged, mark)
			requireDenied(t, way(t.Context(), operator, "home", requested(hubUser)), policy.FieldChanged, mark)
		})
	}
	assert.NoError(t, ways["merge patch"](t.Context(), hub, "home", requested(hubUser)))
	_, err = a.hub.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("new", nil, map[string]string{policy.AnnotationDeleteRequested: hubUser}), metav1.CreateOptions{})
	requireDenied(t, err, policy.FieldChanged, mark)
}

func TestALauncherChangesNothingElseOfAClaim(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	_, err := a.operator.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("data", map[string]string{"app": "database"}, map[string]string{"note": "x"}), metav1.CreateOptions{})
	require.NoError(t, err)
	for name, patch := range map[string]string{
		"a volume":      `{"spec":{"volumeName":"somebody-elses"}}`,
		"a label":       `{"metadata":{"labels":{"app":"mine"}}}`,
		"a new label":   `{"metadata":{"labels":{"mine":"yes"}}}`,
		"an annotation": `{"metadata":{"annotations":{"note":null}}}`,
		"finalizers":    `{"metadata":{"finalizers":null}}`,
		"an owner":      `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"1"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.hub.CoreV1().PersistentVolumeClaims(ns).Patch(t.Context(), "data", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			requireDenied(t, err, policy.LauncherNotAllowed, "of a claim it may change only the annotation slipway.dev/delete-requested")
		})
	}
	t.Run("a size", func(t *testing.T) {
		_, err := a.Admin.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: ns}, Provisioner: "test", AllowVolumeExpansion: new(true),
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		grown := claim("grown", nil, nil)
		grown.Spec.StorageClassName = &ns
		grown, err = a.operator.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), grown, metav1.CreateOptions{})
		require.NoError(t, err)
		grown.Status.Phase = corev1.ClaimBound // else nobody may
		_, err = a.operator.CoreV1().PersistentVolumeClaims(ns).UpdateStatus(t.Context(), grown, metav1.UpdateOptions{})
		require.NoError(t, err)
		larger := []byte(`{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}`)
		require.NoError(t, world.Eventually(t.Context(), func() error { // the API server takes a moment to see the class
			_, err := a.operator.CoreV1().PersistentVolumeClaims(ns).Patch(t.Context(), "grown", types.MergePatchType, larger, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}))
		_, err = a.hub.CoreV1().PersistentVolumeClaims(ns).Patch(t.Context(), "grown", types.MergePatchType, larger, metav1.PatchOptions{})
		requireDenied(t, err, policy.LauncherNotAllowed, "of a claim it may change only the annotation slipway.dev/delete-requested")
	})
	t.Run("its status", func(t *testing.T) {
		_, err := a.hub.CoreV1().PersistentVolumeClaims(ns).Patch(t.Context(), "data", types.MergePatchType, []byte(`{"status":{"phase":"Bound"}}`), metav1.PatchOptions{}, "status")
		requireDenied(t, err, policy.LauncherNotAllowed, "of a claim it may change only the annotation slipway.dev/delete-requested")
	})
	t.Run("somebody else may", func(t *testing.T) {
		_, err := a.operator.CoreV1().PersistentVolumeClaims(ns).Patch(t.Context(), "data", types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"mine"}}}`), metav1.PatchOptions{})
		assert.NoError(t, err)
	})
}
