package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is made beside a pod is what was computed with it.
func TestCompanionsAreWhatTheEngineSaid(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", scratch))
	in := aliceIn("research")
	in.Claims = ClaimList{extraClaim("old", "alice", "scratch")}
	r := fitted(t, c, in)
	pod := asStored(t, r.Pod)
	in.Identity, _ = IdentityOf(pod)
	found, denials := c.Companions(in, pod)
	require.Empty(t, denials)
	require.Len(t, found.Claims, 2)
	assert.Equal(t, r.Claim, found.Claims[0])
	assert.Equal(t, r.MoreClaims[0], found.Claims[1])
	assert.Nil(t, found.Service)

	in.Claims = nil
	_, denials = c.Companions(in, pod)
	require.NotEmpty(t, denials, "the claim that was chosen is gone, and it isn't the template's")
	assert.Equal(t, PolicyChanged, denials[0].Code)
}

func TestAServiceSelectsItsServer(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", "{defaults: {servicesEnabled: true, port: 9999, extraLabels: {course: 'c-{username}'}, extraAnnotations: {note: x}}}"))
	pod := asStored(t, fitted(t, c, aliceIn("research")).Pod)
	pod.Labels["added"] = "by another webhook, which may take it away again"
	in := aliceIn("research")
	found, denials := c.Companions(in, pod)
	require.Empty(t, denials)
	require.NotNil(t, found.Service)
	assert.Equal(t, "jupyter-alice", found.Service.Name)
	assert.Equal(t, map[string]string{
		LabelHub: "main", LabelUsername: "alice", LabelServername: "", "component": "singleuser-server", "app.kubernetes.io/component": "singleuser-server",
		"course": "c-alice", "app": "jupyterhub", "heritage": "jupyterhub", "app.kubernetes.io/name": "jupyterhub", "app.kubernetes.io/managed-by": "kubespawner",
	}, found.Service.Spec.Selector)
	require.Len(t, found.Service.Spec.Ports, 1)
	assert.Equal(t, int32(9999), found.Service.Spec.Ports[0].Port)
	assert.Equal(t, "main", found.Service.Labels[LabelHub])
	assert.Equal(t, map[string]string{"note": "x", AnnotationUsername: "alice"}, found.Service.Annotations)
}

// Only what says itself whose it is, in a way that nobody else can have written, is ever changed.
func TestAClaimThatSaysNothingIsNotTheirs(t *testing.T) {
	for name, tc := range map[string]struct {
		adopt string
		claim metav1.PartialObjectMetadata
		own   bool
	}{
		"made by the companion": {"", claim("c", "alice", "", "main"), true},
		"another hub's":         {"", claim("c", "alice", "", "two"), false},
		"another user's":        {"", claim("c", "bob", "", "main"), false},
		"without a hub label":   {"", claim("c", "alice", "", ""), false},
		"adopted":               {"adoptClaims: Unlabelled, ", claim("c", "alice", "", ""), true},
		"nobody's":              {"adoptClaims: Unlabelled, ", metav1.PartialObjectMetadata{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := compiled(t, baseline+namespaced("n", "{"+tc.adopt+"defaults: {storagePvcEnsure: true}}"))
			pod := asStored(t, fitted(t, c, aliceIn("research")).Pod)
			found, denials := c.Companions(aliceIn("research"), pod)
			require.Empty(t, denials)
			assert.Equal(t, tc.own, found.Own(&tc.claim))
		})
	}
}

func TestAClaimIsDeletedOnlyIfEveryPolicySaysSo(t *testing.T) {
	const caller = "system:serviceaccount:jupyter:hub"
	for name, tc := range map[string]struct {
		policies, caller, keeps string
	}{
		"one says so":             {namespaced("n", "{deleteClaims: true}"), caller, ""},
		"none says anything":      {"", caller, "deleteClaims: true"},
		"one says no":             {namespaced("n", "{deleteClaims: true}") + namespaced("o", "{deleteClaims: false}"), caller, "SpawnPolicy research/o says deleteClaims: false"},
		"another user's says no":  {namespaced("n", "{deleteClaims: true}") + namespaced("o", "{users: [bob], deleteClaims: false}"), caller, ""},
		"some groups' says so":    {namespaced("n", "{groups: [staff], deleteClaims: true}"), caller, "without groups"},
		"some groups' says no":    {namespaced("n", "{deleteClaims: true}") + namespaced("o", "{groups: [staff], deleteClaims: false}"), caller, "says deleteClaims: false"},
		"a condition's says so":   {namespaced("n", "{matchConditions: [{name: a, expression: 'true'}], deleteClaims: true}"), caller, "without groups"},
		"one is invalid":          {namespaced("n", "{deleteClaims: true}") + namespaced("o", "{defaults: {unset: [nothing]}}"), caller, "is invalid"},
		"a caller nobody lists":   {namespaced("n", "{deleteClaims: true}"), "system:serviceaccount:other:hub", "isn't listed there"},
		"an audited one says yes": {namespaced("n", "{enforcement: Audit, deleteClaims: true}"), caller, "deleteClaims: true"},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			in.Identity.Groups, in.Caller = nil, tc.caller
			why := Compile(decoded(t, baseline+tc.policies)).KeepsClaim(in)
			if tc.keeps == "" {
				assert.Empty(t, why)
				return
			}
			assert.Contains(t, why, tc.keeps)
		})
	}
}
