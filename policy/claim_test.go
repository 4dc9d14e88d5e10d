package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func claim(name, user, server, hub string) metav1.PartialObjectMetadata {
	m := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{AnnotationUsername: user}}}
	if server != "" {
		m.Annotations[AnnotationServername] = server
	}
	if hub != "" {
		m.Labels = map[string]string{LabelHub: hub}
	}
	return m
}

// ending is a claim that is being deleted.
func ending(c metav1.PartialObjectMetadata) metav1.PartialObjectMetadata {
	c.DeletionTimestamp = new(metav1.Now())
	return c
}

// extraClaim is one of the setting claims.
func extraClaim(name, user, key string) metav1.PartialObjectMetadata {
	m := claim(name, user, "", "main")
	m.Labels[LabelClaim] = key
	return m
}

func TestAUserKeepsTheClaimThatExists(t *testing.T) {
	home := "storagePvcEnsure: true, storageCapacity: 1Gi, volumes: {home: {persistentVolumeClaim: {claimName: '{pvc_name}'}}}"
	for name, tc := range map[string]struct {
		spec   string
		claims []metav1.PartialObjectMetadata
		want   string
	}{
		"none":                  {"{defaults: {" + home + "}}", nil, "claim-a-b---a63b3d02"},
		"own name first":        {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("a-other", "A@b", "", "main"), claim("claim-a-b---a63b3d02", "A@b", "", "main")}, "claim-a-b---a63b3d02"},
		"another template":      {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("old-name", "A@b", "", "main")}, "old-name"},
		"legacy name preferred": {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("a-other", "A@b", "", "main"), claim("claim--41-40b", "A@b", "", "main")}, "claim--41-40b"},
		"another user":          {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("old", "bob", "", "main")}, "claim-a-b---a63b3d02"},
		"another server":        {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("old", "A@b", "lab", "main")}, "claim-a-b---a63b3d02"},
		"another hub":           {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("old", "A@b", "", "two")}, "claim-a-b---a63b3d02"},
		"unlabelled":            {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("old", "A@b", "", "")}, "claim-a-b---a63b3d02"},
		"unlabelled, adopted":   {"{adoptClaims: Unlabelled, defaults: {" + home + "}}", []metav1.PartialObjectMetadata{claim("old", "A@b", "", "")}, "old"},
		"one that goes away":    {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{ending(claim("old", "A@b", "", "main"))}, "claim-a-b---a63b3d02"},
		"the own that goes":     {"{defaults: {" + home + "}}", []metav1.PartialObjectMetadata{ending(claim("claim-a-b---a63b3d02", "A@b", "", "main"))}, "claim-a-b---a63b3d02"},
		"not remembered":        {"{defaults: {rememberPvcName: false, " + home + "}}", []metav1.PartialObjectMetadata{claim("old", "A@b", "", "main")}, "claim-a-b---a63b3d02"},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			in.Identity.User = "A@b"
			in.Claims = ClaimList(tc.claims)
			r := fitted(t, compiled(t, baseline+namespaced("n", tc.spec)), in)
			assert.Equal(t, tc.want, r.Pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
			assert.Equal(t, tc.want, r.Claim.Name)
		})
	}
}

// Two replicas needn't have heard of the same claims: the one that verifies takes the other's choice if it could be its own,
// and asks to try again if it can't tell.
func TestTheClaimThatAnotherReplicaChoseIsVerified(t *testing.T) {
	const home = "{defaults: {storagePvcEnsure: true, volumes: {home: {persistentVolumeClaim: {claimName: '{pvc_name}'}}}}}"
	c := compiled(t, baseline+namespaced("n", home))
	old, other, foreign := claim("old", "alice", "", "main"), claim("another", "alice", "", "main"), claim("old", "bob", "", "main")
	for name, tc := range map[string]struct {
		fitting, verifying ClaimList
		known              []Code
	}{
		"both know it":                         {ClaimList{old}, ClaimList{old}, nil},
		"neither knows any":                    {nil, nil, nil},
		"the one that verifies knows more":     {ClaimList{old}, ClaimList{other, old}, nil},
		"it knows one, and the own was chosen": {nil, ClaimList{old}, []Code{PolicyChanged}}, // which would be an empty home
		"the one that it knows goes away":      {ClaimList{ending(old)}, ClaimList{ending(old)}, nil},
		"it has gone away since":               {ClaimList{old}, ClaimList{ending(old)}, nil}, // the pod waits, and an Event says so
		"it knows the own that was chosen":     {nil, ClaimList{old, claim("claim-alice", "alice", "", "main")}, nil},
		"it doesn't know it yet":               {ClaimList{old}, nil, []Code{PolicyChanged}},
		"it knows it as another's":             {ClaimList{old}, ClaimList{foreign}, []Code{PolicyChanged}},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			in.Claims = tc.fitting
			pod := asStored(t, fitted(t, c, in).Pod)
			in.Claims = tc.verifying
			var codes []Code
			for _, d := range verify(t, c, in, pod) {
				codes = append(codes, d.Code)
			}
			assert.Equal(t, tc.known, codes)
		})
	}
}

// Either of two may have the user's work in it.
func TestTwoClaimsOfOneServerAreADenialThatNamesBoth(t *testing.T) {
	const home = "storagePvcEnsure: true, storageCapacity: 1Gi, volumes: {home: {persistentVolumeClaim: {claimName: '{pvc_name}'}}}"
	c := compiled(t, baseline+namespaced("n", "{adoptClaims: Unlabelled, defaults: {"+home+"}}"))
	in := aliceIn("research")
	in.Identity.User = "A@b"
	for name, tc := range map[string]struct {
		claims ClaimList
		want   string // empty: denied
	}{
		"of equal right":               {ClaimList{claim("b", "A@b", "", "main"), claim("a", "A@b", "", "main")}, ""},
		"with and without a hub label": {ClaimList{claim("b", "A@b", "", "main"), claim("a", "A@b", "", "")}, ""},
		"one is the template's":        {ClaimList{claim("a", "A@b", "", "main"), claim("claim-a-b---a63b3d02", "A@b", "", "main")}, "claim-a-b---a63b3d02"},
		"one is KubeSpawner's legacy":  {ClaimList{claim("a", "A@b", "", ""), claim("claim--41-40b", "A@b", "", "")}, "claim--41-40b"},
		"the legacy one has the label": {ClaimList{claim("a", "A@b", "", ""), claim("claim--41-40b", "A@b", "", "main")}, "claim--41-40b"},
		// Whoever may create claims could take a user's home away by one of the better name.
		"only the other has the label":        {ClaimList{claim("b", "A@b", "", "main"), claim("claim-a-b---a63b3d02", "A@b", "", "")}, ""},
		"only the other than legacy's has it": {ClaimList{claim("b", "A@b", "", "main"), claim("claim--41-40b", "A@b", "", "")}, ""},
		"the template's, and legacy has it":   {ClaimList{claim("claim-a-b---a63b3d02", "A@b", "", ""), claim("claim--41-40b", "A@b", "", "main")}, ""},
		"one is another server's":             {ClaimList{claim("a", "A@b", "", "main"), claim("b", "A@b", "lab", "main")}, "a"},
		"one isn't a home":                    {ClaimList{claim("a", "A@b", "", "main"), extraClaim("b", "A@b", "scratch")}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			in.Claims = tc.claims
			r, err := c.Apply(in)
			assert.NoError(t, err)
			if tc.want != "" {
				assert.Empty(t, r.Denials)
				assert.Equal(t, tc.want, r.Claim.Name)
				return
			}
			require.Len(t, r.Denials, 1)
			assert.Equal(t, IdentityConflict, r.Denials[0].Code)
			assert.Contains(t, r.Denials[0].Message, `are all user "A@b"'s`)
			for _, c := range tc.claims {
				assert.Contains(t, r.Denials[0].Message, `"`+c.Name+`"`)
			}
		})
	}
}

// KubeSpawner before 0.8.1 said on a claim by its name alone whose it is.
func TestALegacyClaimIsFoundByItsName(t *testing.T) {
	nameless := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "claim--41-40b"}}
	for name, tc := range map[string]struct {
		spec   string
		claims ClaimList
		want   string
	}{
		"where unlabelled ones are adopted":    {"adoptClaims: Unlabelled, ", ClaimList{nameless}, "claim--41-40b"},
		"where they aren't":                    {"", ClaimList{nameless}, "claim-a-b---a63b3d02"},
		"of somebody else":                     {"adoptClaims: Unlabelled, ", ClaimList{claim("claim--41-40b", "bob", "", "")}, "claim-a-b---a63b3d02"},
		"of another hub, which it doesn't say": {"adoptClaims: Unlabelled, ", ClaimList{{ObjectMeta: metav1.ObjectMeta{Name: "claim--41-40b", Labels: map[string]string{LabelHub: "two"}}}}, "claim-a-b---a63b3d02"},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			in.Identity.User, in.Claims = "A@b", tc.claims
			r := fitted(t, compiled(t, baseline+namespaced("n", "{"+tc.spec+"defaults: {storagePvcEnsure: true, storageCapacity: 1Gi}}")), in)
			assert.Equal(t, tc.want, r.Claim.Name)
		})
	}
}

// Two users whose template gives one name must not meet in one home.
func TestAClaimOfSomebodyElseIsNoHome(t *testing.T) {
	const (
		made    = "{defaults: {storagePvcEnsure: true, pvcNameTemplate: home}}"
		adopted = "{adoptClaims: Unlabelled, defaults: {storagePvcEnsure: true, pvcNameTemplate: home}}"
		// An administrator makes it.
		named = "{defaults: {pvcNameTemplate: home, volumes: {home: {persistentVolumeClaim: {claimName: '{pvc_name}'}}}}}"
		more  = "{defaults: {claims: {scratch: {nameTemplate: home, storageCapacity: 1Gi}}}}"
	)
	nobodys := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "home"}}
	for name, tc := range map[string]struct {
		spec   string
		claim  metav1.PartialObjectMetadata
		denied string // empty: it is taken
	}{
		"another user's":                 {made, claim("home", "bob", "", "main"), "is another user's or hub's"},
		"another user's, adopted":        {adopted, claim("home", "bob", "", ""), "is another user's or hub's"},
		"another user's, named":          {named, claim("home", "bob", "", ""), "is another user's or hub's"},
		"another hub's":                  {made, claim("home", "alice", "", "two"), "is another user's or hub's"},
		"the same user's":                {made, claim("home", "alice", "", "main"), ""},
		"before there was a hub":         {made, claim("home", "alice", "", ""), ""},
		"before there was one, adopted":  {adopted, claim("home", "alice", "", ""), ""},
		"before there was one, named":    {named, claim("home", "alice", "", ""), ""},
		"nobody's":                       {made, nobodys, ""},
		"nobody's, adopted":              {adopted, nobodys, ""},
		"nobody's, named":                {named, nobodys, ""},
		"nobody's, one of several":       {more, nobodys, "is another claim of this server"},
		"another server's of hers":       {made, claim("home", "alice", "lab", "main"), ""},
		"one of several that is hers":    {more, extraClaim("home", "alice", "scratch"), ""},
		"one of several that is another": {more, extraClaim("home", "alice", "data"), "is another claim of this server"},
	} {
		t.Run(name, func(t *testing.T) {
			c := compiled(t, baseline+namespaced("n", tc.spec))
			in := aliceIn("research")
			in.Claims = ClaimList{tc.claim}
			r, err := c.Apply(in)
			assert.NoError(t, err)
			if tc.denied == "" {
				assert.Empty(t, r.Denials)
				return
			}
			require.Len(t, r.Denials, 1)
			assert.Equal(t, IdentityConflict, r.Denials[0].Code)
			assert.Contains(t, r.Denials[0].String(), tc.denied)
		})
	}
}

// An empty part of an identity is left out, and an extra annotation must not fill it in.
func TestExtraAnnotationsSayNothingOfIdentity(t *testing.T) {
	const evil = "{hub.jupyter.org/username: bob, hub.jupyter.org/servername: lab, slipway.dev/groups: '[\"admins\"]', slipway.dev/profile: big, note: kept}"
	for block, spec := range map[string]string{
		"defaults": "{defaults: {storagePvcEnsure: true, storageExtraAnnotations: " + evil + ", extraAnnotations: " + evil + "}}",
		"enforced": "{enforced: {storagePvcEnsure: true, storageExtraAnnotations: " + evil + ", extraAnnotations: " + evil + "}}",
	} {
		for mode, base := range map[string]string{"made": baseline, "kept": keeping} {
			t.Run(mode+" "+block, func(t *testing.T) {
				in := aliceIn("research")
				if base == keeping {
					in = keptInput(t, nil)
				}
				in.Identity.Server, in.Identity.Groups, in.Identity.Profile = "", nil, ""
				r := fitted(t, compiled(t, base+namespaced("n", spec)), in)
				for _, annotations := range []map[string]string{r.Claim.Annotations, r.Pod.Annotations} {
					assert.Equal(t, in.Identity.User, annotations[AnnotationUsername])
					assert.NotContains(t, annotations, AnnotationServername)
					assert.Equal(t, "kept", annotations["note"])
				}
				assert.NotContains(t, r.Pod.Annotations, AnnotationGroups)
				assert.NotContains(t, r.Pod.Annotations, AnnotationProfile)
			})
		}
	}
}

// A home of all servers carries the name of the one that was started first, and is the others' too.
func TestAHomeOfAllServersIsFoundByEachOfThem(t *testing.T) {
	const home = "storagePvcEnsure: true, volumes: {home: {persistentVolumeClaim: {claimName: '{pvc_name}'}}}"
	for name, tc := range map[string]struct {
		template, server string
		claims           ClaimList
		want             string // empty: denied
	}{
		"the default one, after another template": {"home-{username}", "", ClaimList{claim("claim-alice", "alice", "lab", "main")}, "claim-alice"},
		"another one":                                      {"home-{username}", "gpu", ClaimList{claim("claim-alice", "alice", "lab", "main")}, "claim-alice"},
		"a name without a template":                        {"home", "gpu", ClaimList{claim("claim-alice", "alice", "lab", "main")}, "claim-alice"},
		"one of its own goes first":                        {"home-{username}", "gpu", ClaimList{claim("claim-alice", "alice", "lab", "main"), claim("gpus", "alice", "gpu", "main")}, "gpus"},
		"each has its own":                                 {"home-{user_server}", "gpu", ClaimList{claim("claim-alice", "alice", "lab", "main")}, "home-alice--gpu"},
		"it can't be told which of two was of all":         {"home-{username}", "", ClaimList{claim("a", "alice", "lab", "main"), claim("b", "alice", "gpu", "main")}, ""},
		"the template's own goes before":                   {"home-{username}", "", ClaimList{claim("a", "alice", "lab", "main"), claim("home-alice", "alice", "gpu", "main")}, "home-alice"},
		"another user's never":                             {"home-{username}", "", ClaimList{claim("claim-bob", "bob", "lab", "main")}, "home-alice"},
		"KubeSpawner's, which another server was first in": {"claim-{username}", "", ClaimList{claim("claim-alice", "alice", "lab", "main")}, "claim-alice"},
	} {
		t.Run(name, func(t *testing.T) {
			c := compiled(t, baseline+namespaced("n", "{defaults: {pvcNameTemplate: '"+tc.template+"', "+home+"}}"))
			in := aliceIn("research")
			in.Identity.Server, in.Claims = tc.server, tc.claims
			r, err := c.Apply(in)
			require.NoError(t, err)
			if tc.want == "" {
				require.Len(t, r.Denials, 1)
				assert.Equal(t, IdentityConflict, r.Denials[0].Code)
				return
			}
			require.Empty(t, r.Denials)
			assert.Equal(t, tc.want, r.Pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
		})
	}
}
