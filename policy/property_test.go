package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// blocks are settings blocks to draw from; any two of them merge.
var blocks = []string{
	"{image: a}", "{image: b, memLimit: 1Gi}", "{nodeSelector: {a: '1'}}", "{nodeSelector: {a: '2', b: '2'}}",
	"{environment: {A: x, B: '$(A)'}}", "{environment: {A: {value: '{username}'}}}", "{unset: [nodeSelector]}",
	"{unset: ['environment[A]'], environment: {C: c}}", "{volumes: {v: {emptyDir: {}}}}", "{volumes: [{name: w}]}",
	"{volumes: {w: {emptyDir: {medium: Memory}}}}", "{extraPodConfig: {hostname: '{username}', tolerations: [{operator: Exists}]}}",
	"{extraContainerConfig: {env: [], tty: true}}", "{extraContainers: {side: {image: s}}}", "{extraLabels: {l: '{user_server}'}}",
	"{initContainers: [{name: i, image: i, securityContext: {privileged: true}}]}", "{privileged: false, uid: 5}", "{}",
	"{extraContainerConfig: {env: [{name: A, value: x}, {name: A, value: y}, {name: JUPYTERHUB_DEBUG}]}}",
	"{extraPodConfig: {initContainers: [], volumes: [{name: v}], securityContext: {runAsUser: 0}}}", "{unset: ['initContainers[i]', extraLabels, debug]}",
}

// undoing are blocks of a namespace's that give the cluster's keys other names, or the same label or variable in another way;
// among the cluster's own policies that is its own business.
var undoing = []string{
	"{initContainers: {i: {name: j, image: j}}, environment: {A: {name: C, value: x}}}", "{commonLabels: {l: c}}",
	"{environment: {JUPYTERHUB_DEBUG: '', C: x}}",
}

// drawPolicies draws a few policies of both kinds, with names that are all different.
func drawPolicies(t *rapid.T) Policies {
	text := baseline
	for i := range rapid.IntRange(0, 5).Draw(t, "policies") {
		cluster, of := rapid.Bool().Draw(t, "cluster"), blocks
		if !cluster {
			of = slices.Concat(blocks, undoing)
		}
		spec := fmt.Sprintf("{priority: %d, defaults: %s, enforced: %s}", rapid.IntRange(-1, 1).Draw(t, "priority"),
			rapid.SampledFrom(of).Draw(t, "defaults"), rapid.SampledFrom(of).Draw(t, "enforced"))
		name := fmt.Sprintf("p%d", i)
		if cluster {
			text += clusterwide(name, spec)
		} else {
			text += namespaced(name, spec)
		}
	}
	p, err := Decode("drawn.yaml", []byte(text))
	require.NoError(t, err)
	return p
}

func drawIdentity(t *rapid.T) Identity {
	id := int64(1)
	return Identity{
		Hub:    "main",
		User:   rapid.OneOf(rapid.SampledFrom([]string{"alice", "Älice@example.org", "{username}", "-x-", "9"}), rapid.StringN(1, 70, -1)).Draw(t, "user"),
		Server: rapid.SampledFrom([]string{"", "lab", "Some Name"}).Draw(t, "server"),
		UserID: &id,
		Env:    map[string]string{"JUPYTERHUB_USER": "u", "OTHER": "o"},
	}
}

// bytesOf is everything that comes out.
func bytesOf(t require.TestingT, c *Compiled, in Input) string {
	r, err := c.Apply(in)
	require.NoError(t, err)
	b, err := json.Marshal(r)
	require.NoError(t, err)
	return string(b)
}

func TestSameInputSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicies(t)
		in := aliceIn("research")
		in.Identity = drawIdentity(t)
		c := Compile(p)
		first := bytesOf(t, c, in)
		assert.Equal(t, first, bytesOf(t, c, in), "the same compiled policies")
		assert.Equal(t, first, bytesOf(t, Compile(p), in), "compiled anew")
	})
}

func TestTheOrderOfPoliciesInTheListDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicies(t)
		in := aliceIn("research")
		in.Identity = drawIdentity(t)
		shuffled := Policies{
			Cluster:    rapid.Permutation(p.Cluster).Draw(t, "cluster"),
			Namespaced: rapid.Permutation(p.Namespaced).Draw(t, "namespaced"),
		}
		assert.Equal(t, bytesOf(t, Compile(p), in), bytesOf(t, Compile(shuffled), in))
	})
}

// In Strip, what a fitted pod carries beside identity is dropped, and the same pod is made again.
func TestFittingAFittedPodInStripGivesTheSamePod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicies(t)
		p.Cluster[0].Spec.Skeleton = v1alpha1.SkeletonStrip
		in := aliceIn("research")
		in.Identity = drawIdentity(t)
		in.Identity.Env = nil
		in.Identity.EnvSecret, in.Identity.EnvKeys = "s", []string{"JUPYTERHUB_USER"}
		c := Compile(p)
		first, err := c.Apply(in)
		require.NoError(t, err)
		if len(first.Denials) > 0 {
			return
		}
		again := in
		var denials []Denial
		again.Identity, denials = IdentityOf(first.Pod)
		require.Empty(t, denials)
		again.Sent, again.Surplus = first.Pod, []string{"spec"}
		second, err := c.Apply(again)
		require.NoError(t, err)
		require.Empty(t, second.Denials)
		assert.Equal(t, first.Pod, second.Pod)
	})
}

// Asserting again must change nothing, or /verify could not hold pods against it.
func TestAssertingTwiceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicies(t)
		in := aliceIn("research")
		c := Compile(p)
		r, err := c.Apply(in)
		require.NoError(t, err)
		if len(r.Denials) > 0 {
			return
		}
		x, denials, _ := c.prepare(&in)
		require.Empty(t, denials)
		require.Empty(t, x.expand())
		again := r.Pod.DeepCopy()
		require.Empty(t, x.reassert(again))
		assert.Equal(t, r.Pod, again)
	})
}

func TestClusterEnforcedHoldsWhateverElseIsSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicies(t)
		strong, err := Decode("strong.yaml", []byte(clusterwide("zz", `{priority: 100, enforced: {image: good, nodeSelector: {pool: users}, environment: {A: {value: enforced}}, privileged: false,
			debug: true, extraLabels: {l: enforced}, initContainers: {i: {image: guard}}, volumes: {v: {name: 'v-{username}', emptyDir: {}}}, unset: ['environment[C]']}}`)))
		require.NoError(t, err)
		p.Cluster = append(slices.Clone(p.Cluster), strong.Cluster...)
		r, err := Compile(p).Apply(aliceIn("research"))
		require.NoError(t, err)
		if len(r.Denials) > 0 {
			return
		}
		assert.Equal(t, "good", notebook(r.Pod).Image)
		assert.Equal(t, "users", r.Pod.Spec.NodeSelector["pool"])
		seen := map[string][]string{}
		for _, e := range notebook(r.Pod).Env {
			seen[e.Name] = append(seen[e.Name], e.Value)
		}
		assert.Equal(t, []string{"enforced"}, seen["A"])
		assert.Equal(t, []string{"1"}, seen["JUPYTERHUB_DEBUG"])
		assert.Empty(t, seen["C"])
		assert.Equal(t, "enforced", r.Pod.Labels["l"])
		assert.NotNil(t, volume(r.Pod, "v-alice").EmptyDir)
		assert.True(t, slices.ContainsFunc(r.Pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == "i" && c.Image == "guard" }))
		forEachContainer(r.Pod, func(path string, c *corev1.Container) {
			assert.False(t, c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged), path)
		})
	})
}

// Two identities never meet in one name, whatever the users are called.
func TestSlugsOfDifferentUsersDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9@._-]{1,60}`), rapid.String())
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		s, u := name.Draw(t, "server of a"), name.Draw(t, "server of b")
		if a != b {
			assert.NotEqual(t, SafeSlug(a), SafeSlug(b))
		}
		if a != b || s != u {
			assert.NotEqual(t, SafeUserServer(a, s), SafeUserServer(b, u))
		}
	})
}
