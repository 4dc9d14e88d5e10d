package apiserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/world"
)

// statusOf reads the status of a policy that is stored.
func statusOf(t *testing.T, object *unstructured.Unstructured) v1alpha1.SpawnPolicyStatus {
	t.Helper()
	data, err := json.Marshal(object.Object["status"]) // the rest may be what Go can't read
	require.NoError(t, err)
	status := v1alpha1.SpawnPolicyStatus{}
	require.NoError(t, json.Unmarshal(data, &status))
	return status
}

// awaitStatus waits until the status of a policy's generation is ready or not, for a reason, and gives it.
func awaitStatus(t *testing.T, w *world.World, kind, namespace, name, reason string) (s v1alpha1.SpawnPolicyStatus, ready metav1.Condition) {
	t.Helper()
	require.NoError(t, world.Eventually(t.Context(), func() error {
		object, err := w.Policies(kind, namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		s = statusOf(t, object)
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Reason != reason || c.ObservedGeneration != object.GetGeneration() || s.ObservedGeneration != object.GetGeneration() {
			return fmt.Errorf("generation %d has %+v", object.GetGeneration(), s)
		}
		ready = *c
		return nil
	}))
	assert.Equal(t, reason == v1alpha1.ReasonValid, ready.Status == metav1.ConditionTrue)
	return s, ready
}

// change patches a policy's spec.
func change(t *testing.T, w *world.World, kind, namespace, name, spec string) {
	t.Helper()
	_, err := w.Policies(kind, namespace).Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":`+spec+`}`), metav1.PatchOptions{})
	require.NoError(t, err)
}

const profiles = `
kind: SpawnPolicy
metadata: {name: course}
spec:
  defaults: {image: "quay.io/jupyter/minimal-notebook:2026-01-05"}
  profiles: [{slug: small}, {slug: large, settings: {memLimit: 8Gi}}, {slug: gpu}]
`

func TestAPolicyIsReadyWithItsProfilesCounted(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, profiles)
	s, since := awaitStatus(t, w, "SpawnPolicy", ns, "course", v1alpha1.ReasonValid)
	assert.Equal(t, new(int32(3)), s.Profiles)
	require.NotNil(t, s.Fitted)
	assert.Equal(t, v1alpha1.FittedPods{Window: s.Fitted.Window}, *s.Fitted)
	assert.NotNil(t, meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionEnforced), "in the same write")
	s, _ = awaitStatus(t, w, "ClusterSpawnPolicy", "", ns, v1alpha1.ReasonValid)
	assert.Equal(t, new(int32(0)), s.Profiles)

	change(t, w, "SpawnPolicy", ns, "course", `{"profiles":[{"slug":"small"}]}`)
	s, ready := awaitStatus(t, w, "SpawnPolicy", ns, "course", v1alpha1.ReasonValid)
	assert.Equal(t, new(int32(1)), s.Profiles)
	assert.Equal(t, int64(2), s.ObservedGeneration)
	assert.True(t, ready.LastTransitionTime.Equal(&since.LastTransitionTime), "it was Ready all the time")
}

// The webhook that judges policies may be down, or not installed yet.
func TestAnInvalidPolicyThatGotInIsNotReadyAndDeniesThePodsThatItMatchesUntilItIsMended(t *testing.T) {
	w := world.ForTest(t)
	w.WithoutPolicyWebhook(t)
	for name, c := range map[string]struct{ spec, mended, reason, field, says string }{
		"a template that names nothing": {
			`{hubs: [main], defaults: {image: a, workingDir: "/home/{usernam}"}}`, `{"defaults":{"workingDir":"/home/{username}"}}`,
			v1alpha1.ReasonInvalid, "spec.defaults.workingDir", "usernam",
		},
		"a misspelt field in a profile": {
			`{hubs: [main], defaults: {image: a}, profiles: [{slug: x, settings: {extraContainers: [{name: s, image: b, volumeMount: []}]}}]}`, `{"profiles":null}`,
			v1alpha1.ReasonInvalid, "spec.profiles[0].settings.extraContainers[0].volumeMount", "volumeMounts",
		},
		"a quantity that nobody can read": {
			`{hubs: [main], defaults: {image: a, memLimit: 1e1.5}}`, `{"defaults":{"memLimit":"15"}}`,
			v1alpha1.ReasonUnreadable, "spec", "quantities must match",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ns := w.Namespace(t)
			w.Put(t, ns, world.HubLaunches, course, "\nkind: SpawnPolicy\nmetadata: {name: broken}\nspec: "+c.spec+"\n")
			_, ready := awaitStatus(t, w, "SpawnPolicy", ns, "broken", c.reason)
			assert.Contains(t, ready.Message, c.field+": ")
			assert.Contains(t, ready.Message, c.says)
			awaitStatus(t, w, "SpawnPolicy", ns, "course", v1alpha1.ReasonValid)
			awaitStatus(t, w, "ClusterSpawnPolicy", "", ns, v1alpha1.ReasonValid)

			_, err := w.Launch(t, ns, nil)
			world.RequireDenied(t, err, policy.PolicyInvalid, c.field)
			assert.Contains(t, err.Error(), "SpawnPolicy "+ns+"/broken")
			if c.reason == v1alpha1.ReasonInvalid { // whom an unreadable one is for can't be told
				pod, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Labels[policy.LabelHub] = "lab" })
				require.NoError(t, err, "a hub that it isn't for")
				w.Remove(t, pod)
			}

			change(t, w, "SpawnPolicy", ns, "broken", c.mended)
			s, ready := awaitStatus(t, w, "SpawnPolicy", ns, "broken", v1alpha1.ReasonValid)
			assert.Equal(t, int64(2), s.ObservedGeneration)
			assert.NotContains(t, ready.Message, c.field)
			w.Settle(t)
			_, err = w.Launch(t, ns, nil)
			require.NoError(t, err)
		})
	}
}

func TestFittedPodsAreCountedOverBothReplicasAndWrittenRarely(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	awaitEnforced(t, w, "SpawnPolicy", ns, "course", metav1.ConditionTrue, "")
	w.Gate.Alternate.Store(true)
	defer w.Gate.Alternate.Store(false)
	watch, err := w.Policies("SpawnPolicy", ns).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=course"})
	require.NoError(t, err)
	defer watch.Stop()

	const n = 12
	for range n {
		pod, err := w.Launch(t, ns, nil)
		require.NoError(t, err)
		w.Remove(t, pod)
		// Neither of these counts. The second asks one replica alone, so that each has its turn at verifying.
		_, err = w.Hub.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(world.Alice, ns), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		require.NoError(t, err)
		_, err = w.Launch(t, ns, func(p *corev1.Pod) { p.Labels[policy.LabelUsername] = "bob" })
		world.RequireDenied(t, err, policy.IdentityConflict, "metadata.labels[hub.jupyter.org/username]")
	}
	fitted := func(s v1alpha1.SpawnPolicyStatus) int64 {
		if s.Fitted == nil {
			return 0
		}
		return s.Fitted.Count
	}
	writes := 0
	for event := range watch.ResultChan() {
		if event.Type != "MODIFIED" {
			continue
		}
		writes++
		if s := statusOf(t, event.Object.(*unstructured.Unstructured)); fitted(s) > 0 {
			assert.LessOrEqual(t, fitted(s), int64(n))
			assert.NotNil(t, s.Fitted.LastTime)
			break
		}
	}
	assert.Equal(t, 1, writes, "the first number is written, and the next a minute later, or along with something else")
	awaitTallies(t, w, ns, n)
	// What is said at once, of a new generation, takes the number along. The leader may not have heard of it the first time.
	require.NoError(t, world.Eventually(t.Context(), func() error {
		writes++
		change(t, w, "SpawnPolicy", ns, "course", fmt.Sprintf(`{"priority":%d}`, writes))
		s, _ := awaitStatus(t, w, "SpawnPolicy", ns, "course", v1alpha1.ReasonValid)
		if fitted(s) != n {
			return fmt.Errorf("%d were fitted: %+v", n, s.Fitted)
		}
		return nil
	}))
	s, _ := awaitStatus(t, w, "ClusterSpawnPolicy", "", ns, v1alpha1.ReasonValid)
	assert.Positive(t, fitted(s), "it had a part in them, too")
}

// awaitTallies waits until the replicas' Leases say that the policy course of a namespace fitted n pods, some by each.
func awaitTallies(t *testing.T, w *world.World, namespace string, n int64) {
	t.Helper()
	course, err := w.Policies("SpawnPolicy", namespace).Get(t.Context(), "course", metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, world.Eventually(t.Context(), func() error {
		leases, err := w.Admin.CoordinationV1().Leases(world.OwnNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: replicaLeases})
		if err != nil {
			return err
		}
		var sum int64
		for _, l := range leases.Items {
			tallies := map[types.UID]struct{ N, T int64 }{}
			if err := json.Unmarshal([]byte(l.Annotations["slipway.dev/fitted"]), &tallies); err != nil {
				return fmt.Errorf("%s: %w", l.Name, err)
			}
			tally, counted := tallies[course.GetUID()]
			if !counted {
				return fmt.Errorf("%s counted none", l.Name)
			}
			sum += tally.N
		}
		if sum != n {
			return fmt.Errorf("%d are counted", sum)
		}
		return nil
	}))
}

func TestAStatusThatSomebodyForgedChangesNothingAndIsPutRight(t *testing.T) {
	w := world.ForTest(t)
	w.WithoutPolicyWebhook(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course, "\nkind: SpawnPolicy\nmetadata: {name: broken}\nspec: {defaults: {workingDir: '{usernam}'}}\n")
	awaitStatus(t, w, "SpawnPolicy", ns, "broken", v1alpha1.ReasonInvalid)
	forged := `{"status":{"observedGeneration":1,"profiles":99,"fitted":{"count":99,"window":"99h"},"conditions":[` +
		`{"type":"Ready","status":"True","reason":"Forged","message":"","lastTransitionTime":"2020-01-01T00:00:00Z","observedGeneration":1}]}}`
	_, err := w.Policies("SpawnPolicy", ns).Patch(t.Context(), "broken", types.MergePatchType, []byte(forged), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	_, err = w.Launch(t, ns, nil)
	world.RequireDenied(t, err, policy.PolicyInvalid, "spec.defaults.workingDir")
	s, _ := awaitStatus(t, w, "SpawnPolicy", ns, "broken", v1alpha1.ReasonInvalid)
	assert.Equal(t, new(int32(0)), s.Profiles)
	assert.Zero(t, s.Fitted.Count)

	_, err = w.Policies("SpawnPolicy", ns).Patch(t.Context(), "course", types.MergePatchType, []byte(`{"status":{"fitted":{"count":1,"window":"a while"}}}`), metav1.PatchOptions{}, "status")
	assert.ErrorContains(t, err, "status.fitted.window", "a client in Go could read no policy any more")
}

// What kubectl shows is all that most people see of a status.
func TestKubectlShowsHowPoliciesFare(t *testing.T) {
	w := world.ForTest(t)
	w.WithoutPolicyWebhook(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, profiles, "\nkind: SpawnPolicy\nmetadata: {name: broken}\nspec: {defaults: {workingDir: '{usernam}'}}\n"+
		"\n---\nkind: SpawnPolicy\nmetadata: {name: newer}\nspec: {defaults: {memLimit: 1e1.5}}\n")
	awaitStatus(t, w, "SpawnPolicy", ns, "broken", v1alpha1.ReasonInvalid)
	awaitStatus(t, w, "SpawnPolicy", ns, "course", v1alpha1.ReasonValid)
	awaitStatus(t, w, "SpawnPolicy", ns, "newer", v1alpha1.ReasonUnreadable)
	for _, args := range [][]string{{"get", "sp", "-n", ns}, {"get", "sp", "-n", ns, "-o", "wide"}, {"get", "csp", ns}} {
		out, err := w.Cluster.Kubectl(t.Context(), nil, args...)
		require.NoError(t, err)
		t.Logf("kubectl %s\n%s", strings.Join(args, " "), out)
		if args[1] == "sp" {
			assert.Regexp(t, `(?m)^broken .*False +(True|False) +0 +0 +(<unknown> +)?\d+s`, out)
			assert.Regexp(t, `(?m)^course .*True +(True|False) +3 +0 +(<unknown> +)?\d+s`, out)
		}
	}
	wide, err := w.Cluster.Kubectl(t.Context(), nil, "get", "sp", "-n", ns, "-o", "wide")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^broken .*spec\.defaults\.workingDir: `, wide)
}
