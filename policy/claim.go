package policy

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// chooseClaim gives the claim that {pvc_name} stands for: one that this identity already has, else the template's name, so
// that a changed template or slug never gives anybody an empty home. A choice that was made before is kept if it is
// one of these.
func (x *server) chooseClaim() *Denial {
	x.ownClaim = x.names.Claim
	if !x.plan.usesClaim {
		return nil
	}
	candidates := x.claimCandidates()
	switch chosen := x.in.Claim; {
	case chosen == nil && len(candidates) > 0:
		x.names.Claim = candidates[0]
	case chosen == nil, *chosen == "", *chosen == x.ownClaim:
	case slices.Contains(candidates, *chosen):
		x.names.Claim = *chosen
	default:
		d := denyf(PolicyChanged, nil, "metadata.annotations["+AnnotationApplied+"]",
			"the home claim %q isn't known here as one of user %q: try again", *chosen, x.in.Identity.User)
		return &d
	}
	return x.claimConflict()
}

// claimCandidates are the claims that this identity has, the best one first.
func (x *server) claimCandidates() []string {
	if x.in.Claims == nil || x.s.RememberPVCName != nil && !*x.s.RememberPVCName {
		return nil
	}
	legacy := ""
	if x.s.HandleLegacyNames == nil || *x.s.HandleLegacyNames {
		legacy = x.legacyClaimName()
	}
	var names []string
	for _, c := range x.in.Claims.Of(x.in.Identity.User) {
		if x.isCandidate(c) {
			names = append(names, c.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(-cmp.Compare(rank(a, x.ownClaim, legacy), rank(b, x.ownClaim, legacy)), cmp.Compare(a, b))
	})
	return names
}

// claimConflict: two users, or two hubs, whose templates give one name would meet in one home (CVE-2020-15110). What a claim
// says of whose it is can't be got around; a claim that says nothing is whoever's the template gives it to.
func (x *server) claimConflict() *Denial {
	if x.in.Claims == nil || x.names.Claim == "" {
		return nil
	}
	c := x.in.Claims.Named(x.names.Claim)
	if c == nil {
		return nil
	}
	id := &x.in.Identity
	user, has := c.Annotations[AnnotationUsername]
	hub, labelled := c.Labels[LabelHub]
	if (!has || user == id.User) && (!labelled || hub == id.Hub) {
		return nil
	}
	d := denyf(IdentityConflict, nil, "pvcNameTemplate", "gives %q for user %q of hub %q, and that claim is another user's or hub's: use a template that tells them apart",
		x.names.Claim, id.User, id.Hub)
	return &d
}

// rank prefers the template's own name, then that of the escape scheme.
func rank(name, own, legacy string) int {
	const best, second = 2, 1
	switch name {
	case own:
		return best
	case legacy:
		return second
	}
	return 0
}

// isCandidate: user and server agree, and the hub's label agrees. Without that label anybody who may create claims could
// plant one, so it is taken only where every policy that speaks of it says adoptClaims: Unlabelled.
func (x *server) isCandidate(c *metav1.PartialObjectMetadata) bool {
	id := &x.in.Identity
	if c.Annotations[AnnotationUsername] != id.User || c.Annotations[AnnotationServername] != id.Server {
		return false
	}
	hub, labelled := c.Labels[LabelHub]
	if labelled {
		return hub == id.Hub
	}
	return x.plan.adoptUnlabelled
}

// adoptsUnlabelled: the strictest word of the policies.
func adoptsUnlabelled(policies []*compiledPolicy) bool {
	named := false
	for _, p := range policies {
		if p.spec.AdoptClaims == "" {
			continue
		}
		if p.spec.AdoptClaims != v1alpha1.AdoptUnlabelled {
			return false
		}
		named = true
	}
	return named
}

// legacyClaimName is what pvcNameTemplate gave under the escape scheme.
func (x *server) legacyClaimName() string {
	t, ok := x.templates.byText[deref(x.s.PVCNameTemplate)]
	if !ok {
		return ""
	}
	name, err := t.expand(func(placeholder string) (string, error) {
		switch placeholder {
		case "username", "servername", "user_server":
			return x.slug(placeholder, true)
		}
		return x.value(placeholder)
	})
	if err != nil {
		return ""
	}
	return name
}

// buildClaim gives the home claim; nil where policy asks for none.
func (x *server) buildClaim() *corev1.PersistentVolumeClaim {
	s := x.s
	if !isTrue(s.StoragePVCEnsure) {
		return nil
	}
	c := &corev1.PersistentVolumeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        x.names.Claim,
			Namespace:   x.in.Namespace.Name,
			Labels:      x.commonLabels(s.StorageExtraLabels),
			Annotations: x.commonAnnotations(s.StorageExtraAnnotations),
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      slices.Clone(s.StorageAccessModes),
			StorageClassName: s.StorageClass,
		},
	}
	for _, a := range x.plan.asserted {
		c.Labels = x.assertLabels(c.Labels, a, "storageExtraLabels", s.StorageExtraLabels)
	}
	c.Labels[labelComponentNew] = deref(s.ComponentLabel)
	c.Labels[labelComponent] = "singleuser-storage"
	c.Labels[LabelUsername] = LabelSlug(x.in.Identity.User)
	c.Labels[LabelHub] = x.in.Identity.Hub
	if s.StorageCapacity != nil {
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *s.StorageCapacity}
	}
	if x.enforces("storageClass") {
		delete(c.Annotations, corev1.BetaStorageClassAnnotation) // it counts as much as the field
	}
	if s.StorageClass != nil {
		c.Annotations[corev1.BetaStorageClassAnnotation] = *s.StorageClass
	}
	if s.StorageSelector != nil && (len(s.StorageSelector.MatchLabels) > 0 || len(s.StorageSelector.MatchExpressions) > 0) {
		c.Spec.Selector = s.StorageSelector.DeepCopy()
	}
	return c
}

const (
	labelComponentNew = "app.kubernetes.io/component"
	labelComponent    = "component"
)

// commonLabels are KubeSpawner's labels of every object; the common ones win over the extra ones.
func (x *server) commonLabels(extra map[string]string) map[string]string {
	labels := make(map[string]string, len(extra)+len(x.s.CommonLabels)+len(identityLabels))
	maps.Copy(labels, extra)
	maps.Copy(labels, x.s.CommonLabels)
	labels[LabelUsername] = LabelSlug(x.in.Identity.User)
	return labels
}

// commonAnnotations say whose object it is. Unlike upstream, extra annotations can't say otherwise.
func (x *server) commonAnnotations(extra map[string]string) map[string]string {
	annotations := make(map[string]string, len(extra)+len(identityAnnotations))
	maps.Copy(annotations, extra)
	annotations[AnnotationUsername] = x.in.Identity.User
	delete(annotations, AnnotationServername)
	if x.in.Identity.Server != "" {
		annotations[AnnotationServername] = x.in.Identity.Server
	}
	return annotations
}
