package policy

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// namedClaim is one of the setting claims under its name for this server.
type namedClaim struct {
	key string
	// own is the name by the template, which name is unless the server has it under another.
	own, name string
}

// checkClaims: a claim's key is the value of a label.
func checkClaims(claims map[string]v1alpha1.Claim, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(claims)) {
		if problems := validation.IsDNS1123Label(key); len(problems) > 0 {
			errs = append(errs, field.Invalid(path.Key(key), key, "is no name for a claim: "+inShort(problems)))
		}
	}
	return errs
}

// chooseMoreClaims gives the setting claims their names, when all templates have been filled in, and has the volumes that name one
// name the claim that is there.
func (x *server) chooseMoreClaims() []Denial {
	var denials []Denial
	first := map[string]string{x.names.Claim: "the home"}
	if !x.plan.usesClaim {
		first = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(x.s.Claims)) {
		setting := "claims[" + key + "].nameTemplate"
		own, err := x.claimName(key)
		if err != nil {
			denials = append(denials, denyf(TemplateInvalid, nil, setting, "%v", err))
			continue
		}
		w := wantedClaim{key: key, setting: setting, template: deref(x.s.Claims[key].NameTemplate), own: own}
		if x.in.Claim != nil {
			w.chosen = new(x.in.MoreClaims[key])
		}
		name, denial := x.choose(&w)
		switch problems := validation.IsDNS1123Subdomain(own); {
		case len(problems) > 0:
			denials = append(denials, denyf(NameMismatch, nil, setting, "gives %q, which is no name for a claim: %s", own, inShort(problems)))
		case denial != nil:
			denials = append(denials, *denial)
		case first[name] != "":
			denials = append(denials, denyf(TemplateInvalid, nil, setting, "gives %q, and %s is called so already: use templates that tell them apart", name, first[name]))
		default:
			first[name] = "claim " + key
			x.moreClaims = append(x.moreClaims, namedClaim{key: key, own: own, name: name})
		}
	}
	x.redirectVolumes()
	return denials
}

// claimName is the name by the template.
func (x *server) claimName(key string) (string, error) {
	if text := x.s.Claims[key].NameTemplate; text != nil {
		return *text, nil
	}
	slug, err := x.value("user_server")
	if err != nil {
		return "", fmt.Errorf("name claim %s: %w", key, err)
	}
	return key + "-" + slug, nil
}

// redirectVolumes: policy writes into a volume the name that the template gives, whatever the claim is called that is there.
func (x *server) redirectVolumes() {
	names := map[string]string{}
	for _, c := range x.moreClaims {
		if c.name != c.own {
			names[c.own] = c.name
		}
	}
	if len(names) == 0 {
		return
	}
	redirected := func(volumes []corev1.Volume) []corev1.Volume {
		volumes = slices.Clone(volumes) // they may be shared with a plan
		for i := range volumes {
			if source := volumes[i].PersistentVolumeClaim; source != nil && names[source.ClaimName] != "" {
				source = source.DeepCopy()
				source.ClaimName = names[source.ClaimName]
				volumes[i].PersistentVolumeClaim = source
			}
		}
		return volumes
	}
	x.s.Volumes, x.s.ExtraPodConfig.Value.Volumes = redirected(x.s.Volumes), redirected(x.s.ExtraPodConfig.Value.Volumes)
}

// renamedClaims are the names, by key, of claims that aren't called as the template says; nil for none.
func (x *server) renamedClaims() map[string]string {
	var renamed map[string]string
	for _, c := range x.moreClaims {
		if c.name != c.own {
			if renamed == nil {
				renamed = map[string]string{}
			}
			renamed[c.key] = c.name
		}
	}
	return renamed
}

// buildMoreClaims gives the setting claims.
func (x *server) buildMoreClaims() []*corev1.PersistentVolumeClaim {
	claims := make([]*corev1.PersistentVolumeClaim, 0, len(x.moreClaims))
	for _, named := range x.moreClaims {
		s := x.s.Claims[named.key]
		c := &corev1.PersistentVolumeClaim{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
			ObjectMeta: metav1.ObjectMeta{
				Name: named.name, Namespace: x.in.Namespace.Name,
				Labels: x.commonLabels(s.ExtraLabels), Annotations: x.commonAnnotations(s.ExtraAnnotations),
			},
			Spec: corev1.PersistentVolumeClaimSpec{AccessModes: slices.Clone(s.AccessModes), StorageClassName: s.StorageClass},
		}
		c.Labels[labelComponentNew] = deref(x.s.ComponentLabel)
		c.Labels[labelComponent] = "singleuser-storage"
		c.Labels[LabelHub] = x.in.Identity.Hub
		c.Labels[LabelClaim] = named.key
		delete(c.Annotations, corev1.BetaStorageClassAnnotation) // it counts as much as the field
		if len(c.Spec.AccessModes) == 0 {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		}
		if s.StorageCapacity != nil {
			c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *s.StorageCapacity}
		}
		if s.Selector != nil && (len(s.Selector.MatchLabels) > 0 || len(s.Selector.MatchExpressions) > 0) {
			c.Spec.Selector = s.Selector.DeepCopy()
		}
		claims = append(claims, c)
	}
	return claims
}
