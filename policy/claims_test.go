package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const scratch = `{defaults: {
  storagePvcEnsure: true, storageCapacity: 1Gi, componentLabel: lab, commonLabels: {heritage: slipway},
  claims: {scratch: {storageCapacity: 50Gi, storageClass: fast, accessModes: [ReadWriteMany], nameTemplate: "fast-{user_server}",
    selector: {matchLabels: {owner: "{username}"}}, extraLabels: {backup: "no-{username}", heritage: hidden},
    extraAnnotations: {note: "{unescaped_username}", volume.beta.kubernetes.io/storage-class: slow, hub.jupyter.org/username: bob}}},
  volumes: {home: {persistentVolumeClaim: {claimName: "{pvc_name}"}}, fast: {persistentVolumeClaim: {claimName: "fast-{user_server}"}}}}}`

func TestAServerHasMoreClaimsThanItsHome(t *testing.T) {
	in := aliceIn("research")
	in.Identity.Server = "lab"
	r := fitted(t, compiled(t, baseline+namespaced("n", scratch)), in)
	require.Len(t, r.MoreClaims, 1)
	assert.Equal(t, &corev1.PersistentVolumeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "fast-alice--lab", Namespace: "research",
			Labels: map[string]string{
				"backup": "no-alice", "heritage": "slipway", "app": "jupyterhub", "app.kubernetes.io/name": "jupyterhub",
				"app.kubernetes.io/managed-by": "kubespawner", "app.kubernetes.io/component": "lab", "component": "singleuser-storage",
				LabelUsername: "alice", LabelHub: "main", LabelClaim: "scratch",
			},
			Annotations: map[string]string{"note": "alice", AnnotationUsername: "alice", AnnotationServername: "lab"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, StorageClassName: new("fast"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("50Gi")}},
			Selector:  &metav1.LabelSelector{MatchLabels: map[string]string{"owner": "alice"}},
		},
	}, r.MoreClaims[0])
	assert.NotContains(t, r.Claim.Labels, LabelClaim)
	assert.Equal(t, []string{"fast-alice--lab", "claim-alice--lab"}, claimsIn(r.Pod))
}

func claimsIn(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		names = append(names, pod.Spec.Volumes[i].PersistentVolumeClaim.ClaimName)
	}
	return names
}

// A changed template gives nobody an empty folder, in these as in the home.
func TestAServerKeepsItsOtherClaimsToo(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", scratch))
	for name, tc := range map[string]struct {
		claims ClaimList
		want   string // empty: denied
	}{
		"none":                     {nil, "fast-alice"},
		"under another name":       {ClaimList{extraClaim("old", "alice", "scratch")}, "old"},
		"the template's first":     {ClaimList{extraClaim("old", "alice", "scratch"), extraClaim("fast-alice", "alice", "scratch")}, "fast-alice"},
		"another of hers":          {ClaimList{extraClaim("old", "alice", "data")}, "fast-alice"},
		"her home":                 {ClaimList{claim("claim-alice", "alice", "", "main")}, "fast-alice"},
		"another user's":           {ClaimList{extraClaim("old", "bob", "scratch")}, "fast-alice"},
		"another user's, so named": {ClaimList{extraClaim("fast-alice", "bob", "scratch")}, ""},
		"her home, so named":       {ClaimList{claim("fast-alice", "alice", "", "main"), claim("claim-alice", "alice", "", "main")}, ""},
		"two":                      {ClaimList{extraClaim("one", "alice", "scratch"), extraClaim("two", "alice", "scratch")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			in.Claims = tc.claims
			r, err := c.Apply(in)
			require.NoError(t, err)
			if tc.want == "" {
				require.NotEmpty(t, r.Denials)
				assert.Equal(t, IdentityConflict, r.Denials[0].Code)
				return
			}
			require.Empty(t, r.Denials)
			assert.Equal(t, tc.want, r.MoreClaims[0].Name)
			assert.Equal(t, []string{tc.want, "claim-alice"}, claimsIn(r.Pod), "its volume names what is there")
			assert.Empty(t, verify(t, c, in, asStored(t, r.Pod)), "it is verified")
		})
	}
}

func TestAClaimHasAName(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", "{defaults: {claims: {data: {storageCapacity: 1Gi}}}}"))
	r := fitted(t, c, aliceIn("research"))
	assert.Equal(t, "data-alice", r.MoreClaims[0].Name)
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, r.MoreClaims[0].Spec.AccessModes)

	for name, spec := range map[string]string{
		"one for two":         "{defaults: {claims: {a: {nameTemplate: same}, b: {nameTemplate: same}}}}",
		"the home's":          "{defaults: {storagePvcEnsure: true, pvcNameTemplate: same, claims: {a: {nameTemplate: same}}}}",
		"that can't be one":   "{defaults: {claims: {a: {nameTemplate: '{unescaped_username}_x'}}}}",
		"of unknown template": "{defaults: {claims: {a: {nameTemplate: '{nothing}'}}}}",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Compile(decoded(t, baseline+namespaced("n", spec))).Apply(aliceIn("research"))
			require.NoError(t, err)
			assert.NotEmpty(t, r.Denials)
		})
	}
}

func TestClaimNamesAreTheTemplatesWhateverIsThere(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", `{defaults: {storagePvcEnsure: true, storageCapacity: 1Gi, pvcNameTemplate: "home-{username}",
		claims: {tmp: {storageCapacity: 1Gi}, data: {storageCapacity: 1Gi, nameTemplate: "data-{user_server}"}}}}`))
	in := aliceIn("research")
	in.Identity.Server, in.Identity.Name, in.Caller = "lab", "whatever", "system:serviceaccount:x:y"
	got, denials := c.ClaimNames(in)
	require.Empty(t, denials)
	both := SafeUserServer("alice", "lab")
	assert.Equal(t, map[string]string{"": "home-alice", "tmp": "tmp-" + both, "data": "data-" + both}, got)

	in.Identity.Profile = "none"
	got, denials = c.ClaimNames(in)
	assert.NotEmpty(t, denials)
	assert.Empty(t, got)
}
