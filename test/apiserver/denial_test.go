package apiserver

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

func TestWithoutAPolicyThePodIsDenied(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	_, err := w.Launch(t, ns, nil)
	denied := world.AsDenied(t, err)
	assert.Equal(t, []policy.Code{policy.NoPolicy}, denied.Codes())
	assert.Contains(t, denied.Error(), `hub "main"`)
	assert.Contains(t, denied.Error(), `namespace "`+ns+`"`)
	assert.False(t, denied.Retryable())

	t.Run("in the words that the API server hands on", func(t *testing.T) {
		answer := apierrors.APIStatus(nil)
		require.ErrorAs(t, err, &answer)
		status := answer.Status()
		assert.Equal(t, int32(403), status.Code)
		assert.Equal(t, metav1.StatusReasonForbidden, status.Reason)
		assert.Contains(t, status.Message, `admission webhook "mutate.slipway.dev" denied the request: Slipway NoPolicy: `)
		require.Len(t, status.Details.Causes, 1)
		assert.Equal(t, metav1.CauseType("NoPolicy"), status.Details.Causes[0].Type)
	})
	t.Run("a policy for another hub is none", func(t *testing.T) {
		w.Put(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: other}\nspec: {hubs: [other], launchers: [{serviceAccount: {namespace: jupyter, name: hub}}], defaults: {image: a}}\n")
		_, err := w.Launch(t, ns, nil)
		assert.Equal(t, []policy.Code{policy.NoPolicy}, world.AsDenied(t, err).Codes())
	})
}

func TestOnlyListedLaunchersMayLaunch(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: silent}\nspec: {defaults: {image: a}}\n")
	t.Run("no policy names any", func(t *testing.T) {
		_, err := w.Launch(t, ns, nil)
		world.RequireDenied(t, err, policy.LauncherNotAllowed, "spec.launchers")
	})
	w.Put(t, ns, world.HubLaunches)
	t.Run("another account", func(t *testing.T) {
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(world.Alice, ns), metav1.CreateOptions{})
		world.RequireDenied(t, err, policy.LauncherNotAllowed, "spec.launchers")
		assert.Contains(t, err.Error(), "system:serviceaccount:jupyter:forger")
	})
	t.Run("an admin of the cluster", func(t *testing.T) {
		_, err := w.Admin.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(world.Alice, ns), metav1.CreateOptions{})
		world.RequireDenied(t, err, policy.LauncherNotAllowed, "spec.launchers")
	})
	t.Run("the listed one", func(t *testing.T) {
		_, err := w.Launch(t, ns, nil)
		assert.NoError(t, err)
	})
}

func TestIdentityMustAgreeWithItself(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Labels[policy.LabelUsername] = "bob" })
	world.RequireDenied(t, err, policy.IdentityConflict, "metadata.labels[hub.jupyter.org/username]")
	_, err = w.Launch(t, ns, func(p *corev1.Pod) { p.Annotations[policy.AnnotationGroups] = "staff" })
	world.RequireDenied(t, err, policy.IdentityInvalid, "metadata.annotations[slipway.dev/groups]")
}

func TestAnInvalidPolicyDeniesThePodsThatItMatches(t *testing.T) {
	w := world.ForTest(t)
	for name, c := range map[string]struct{ spec, field, says string }{
		"null in a schemaless field": {
			`{defaults: {image: a, volumes: {home: null}}}`, "spec.defaults.volumes.home", "unset",
		},
		"null deep in a fragment": {
			`{defaults: {image: a, extraPodConfig: {hostname: null}}}`, "spec.defaults.extraPodConfig.hostname", "unset",
		},
		"a misspelt fragment": {
			`{defaults: {image: a, extraContainers: [{name: side, image: b, volumeMount: []}]}}`,
			"spec.defaults.extraContainers[0].volumeMount", "volumeMounts",
		},
		"a template that names nothing": {
			`{defaults: {image: a, workingDir: "/home/{usernam}"}}`, "spec.defaults.workingDir", "usernam",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ns := w.Namespace(t)
			w.PutUnjudged(t, ns, world.HubLaunches, "\nkind: SpawnPolicy\nmetadata: {name: broken}\nspec: "+c.spec+"\n")
			_, err := w.Launch(t, ns, nil)
			world.RequireDenied(t, err, policy.PolicyInvalid, c.field)
			assert.Contains(t, err.Error(), "SpawnPolicy "+ns+"/broken")
			assert.Contains(t, err.Error(), c.says)
		})
	}
}

// The schema admits it and Go doesn't: with typed informers this one policy would stop every hub of the cluster.
func TestAPolicyThatCannotBeReadStopsItsOwnNamespaceAlone(t *testing.T) {
	w := world.ForTest(t)
	good, bad := w.Namespace(t), w.Namespace(t)
	w.Put(t, good, world.HubLaunches, course)
	w.PutUnjudged(t, bad, world.HubLaunches, course, "\nkind: SpawnPolicy\nmetadata: {name: broken}\nspec: {defaults: {memLimit: 1e1.5}}\n")
	_, err := w.Launch(t, good, nil)
	require.NoError(t, err)
	_, err = w.Launch(t, bad, nil)
	world.RequireDenied(t, err, policy.PolicyInvalid, "spec")
	assert.Contains(t, err.Error(), "SpawnPolicy "+bad+"/broken")
}

func TestAConstraintDenies(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course, `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE-bounds}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  constraints: {image: {allow: ["quay.io/jupyter/*", busybox]}}
`)
	_, err := w.Launch(t, ns, nil)
	denied := world.AsDenied(t, err)
	assert.Equal(t, []policy.Code{policy.ConstraintViolated}, denied.Codes())
	assert.Contains(t, denied.Error(), "postgres:18")
}

func TestAQuotasRefusalIsNoDenialOfOurs(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	none := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	quota, err := w.Admin.CoreV1().ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: none},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none} // no controller runs here that would
	_, err = w.Admin.CoreV1().ResourceQuotas(ns).UpdateStatus(t.Context(), quota, metav1.UpdateOptions{})
	require.NoError(t, err)
	// The API server takes a moment to see the quota.
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err = launcher.Launch(t.Context(), w.Hub, world.Alice, ns, launcher.Options{DryRun: true})
		if err == nil {
			return errors.New("still admitted")
		}
		return nil
	}))
	require.ErrorContains(t, err, "exceeded quota")
	assert.True(t, apierrors.IsForbidden(err))
	denied := &launcher.Denied{}
	assert.NotErrorAs(t, err, &denied)
}
