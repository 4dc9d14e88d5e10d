package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
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
