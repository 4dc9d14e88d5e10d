package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// computingSpec has an expression in one of the places that a policy has for it.
func computingSpec(place uint8, name, text string) *v1alpha1.SpawnPolicySpec {
	spec := &v1alpha1.SpawnPolicySpec{}
	switch place % 7 {
	case 0:
		spec.Expressions = map[string]string{name: text}
	case 1:
		spec.MatchConditions = []v1alpha1.MatchCondition{{Name: "a", Expression: text}}
	case 2:
		spec.Mutations = []v1alpha1.Mutation{{PatchType: "JSONPatch", Expression: text}}
	case 3:
		spec.Mutations = []v1alpha1.Mutation{{PatchType: "ApplyConfiguration", Expression: text}}
	case 4:
		spec.Validations = []v1alpha1.Validation{{Expression: text, Message: name}}
	case 5:
		spec.Validations = []v1alpha1.Validation{{Expression: "false", MessageExpression: text}}
	case 6: // what is said of the user is text, whatever stands in it
		spec.Expressions = map[string]string{"environment[FACT]": "user.annotations['fact']", "workingDir": "user.annotations['fact']"}
	}
	return spec
}

// mayTake is far more than the costliest expression that is admitted takes here, under the race detector too.
const mayTake = 5 * time.Second

// FuzzExpressions runs whatever a namespace may have computed. It is done in time and the same way each time, /verify takes what came of
// it, and it changes neither whose a pod is nor what the cluster enforces.
func FuzzExpressions(f *testing.F) {
	f.Add(uint8(0), "image", "'a'", "{}", "alice")
	enforcing := decoded(f, baseline+clusterwide("e", "{enforced: {privileged: false, image: good, nodeSelector: {pool: users}, environment: {A: enforced}}}"))
	f.Fuzz(func(t *testing.T, place uint8, name, text, facts, user string) {
		policies := Policies{Cluster: enforcing.Cluster}
		fuzzedPolicy(false, computingSpec(place, strings.ToValidUTF8(name, ""), strings.ToValidUTF8(text, "")), &policies)
		in := aliceIn("research")
		in.Identity.User, in.Provenance = strings.ToValidUTF8(user, ""), true
		in.Identity.Groups = []string{"staff", "students"}
		_ = json.Unmarshal([]byte(facts), &in.Identity.UserAnnotations) // what is no map of texts says nothing
		fact, told := in.Identity.UserAnnotations["fact"]

		begun := time.Now() //nolint:forbidigo // a test may have a clock
		c := Compile(policies)
		require.Equal(t, c.Errors(), Compile(policies).Errors())
		want := bytesOf(t, c, in)
		require.Equal(t, want, bytesOf(t, c, in))
		require.Equal(t, want, bytesOf(t, Compile(policies), in))
		r, err := c.Apply(in)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), mayTake) //nolint:forbidigo // a test may have a clock
		requireDecision(t, &r)
		isFact := told && place%7 == 6
		for _, d := range r.Denials {
			require.False(t, isFact && (d.Code == ExpressionFailed || d.Code == TemplateInvalid), "text is text: %s", d)
		}
		if r.Pod == nil {
			return
		}
		requireUntouched(t, in, r.Pod)
		if isFact {
			require.Equal(t, fact, envOf(r.Pod)["FACT"], "not expanded as a template")
			require.Equal(t, fact, notebook(r.Pod).WorkingDir)
		}
		denials, known := c.Verify(in, asStored(t, r.Pod))
		require.True(t, known)
		require.Empty(t, denials, "of %s", asJSON(r.Pod))
	})
}

// requireUntouched: the pod is the user's, and as the cluster enforces it.
func requireUntouched(t *testing.T, in Input, pod *corev1.Pod) {
	t.Helper()
	for key, value := range in.Identity.Labels() {
		require.Equal(t, value, pod.Labels[key], key)
	}
	for key, value := range in.Identity.Annotations() {
		require.Equal(t, value, pod.Annotations[key], key)
	}
	require.Equal(t, in.Namespace.Name, pod.Namespace)
	require.Empty(t, pod.OwnerReferences)
	require.Empty(t, pod.Finalizers)
	require.Equal(t, "good", notebook(pod).Image)
	require.Equal(t, "users", pod.Spec.NodeSelector["pool"])
	require.Equal(t, "enforced", envOf(pod)["A"])
	forEachContainer(pod, func(path string, c *corev1.Container) {
		require.False(t, c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged), path)
	})
}
