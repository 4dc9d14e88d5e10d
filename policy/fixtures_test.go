package policy

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

const testCaller = "system:serviceaccount:jupyter:hub"

// compiled reads policies from YAML and wants them to be valid.
func compiled(t testing.TB, text string) *Compiled {
	t.Helper()
	c := Compile(decoded(t, text))
	require.Empty(t, c.Errors())
	return c
}

func decoded(t testing.TB, text string) Policies {
	t.Helper()
	p, err := Decode("test.yaml", []byte(text))
	require.NoError(t, err)
	return p
}

// aliceIn is the input for alice of hub main in a namespace.
func aliceIn(namespace string) Input {
	id := int64(7)
	return Input{
		Identity:  Identity{Hub: "main", User: "alice", UserID: &id},
		Namespace: Namespace{Name: namespace, Labels: map[string]string{"tier": "research"}},
		Caller:    testCaller,
	}
}

// fitted wants a pod.
func fitted(t testing.TB, c *Compiled, in Input) Result {
	t.Helper()
	r, err := c.Apply(in)
	require.NoError(t, err)
	require.Empty(t, r.Denials)
	require.NotNil(t, r.Pod)
	return r
}

// denied wants denials and no pod, and gives their codes.
func denied(t testing.TB, c *Compiled, in Input) []Denial {
	t.Helper()
	r, err := c.Apply(in)
	require.NoError(t, err)
	require.NotEmpty(t, r.Denials)
	require.Nil(t, r.Pod)
	require.Nil(t, r.Claim)
	return r.Denials
}

func envOf(pod *corev1.Pod) map[string]string {
	env := map[string]string{}
	for _, e := range notebook(pod).Env {
		env[e.Name] = e.Value
	}
	return env
}

// baseline is the platform team's policy, course the namespace's; %s-less, so that tests can add documents.
const baseline = `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: baseline}
spec:
  namespaceSelector: {matchLabels: {tier: research}}
  hubs: [main]
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, hubs: [main], mayAssertGroups: ["*"]}]
  hubEnv: ["JUPYTERHUB_*"]
`

// namespaced is a SpawnPolicy of namespace research with this spec, in flow style.
func namespaced(name, spec string) string {
	return "\n---\napiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: \"" + name + "\", namespace: research}\nspec: " + spec + "\n"
}

// clusterwide is a ClusterSpawnPolicy with this spec.
func clusterwide(name, spec string) string {
	return "\n---\napiVersion: slipway.dev/v1alpha1\nkind: ClusterSpawnPolicy\nmetadata: {name: \"" + name + "\"}\nspec: " + spec + "\n"
}
