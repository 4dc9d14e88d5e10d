package policy

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
)

// claimSettings are what a claim is made of: its path in flaws, the settings as they are called there, and where they come from.
type claimSettings struct {
	at                     string
	capacity, modes, class string
	from                   func(setting string) []source
	label                  func(key string) []source
	capacityToo, selector  []source
}

// home is the claim that storagePvcEnsure asks for.
func (f *flaws) home(c *corev1.PersistentVolumeClaim) {
	f.claim(c, &claimSettings{
		at: "the claim's ", capacity: "storageCapacity", modes: "storageAccessModes", class: "storageClass",
		from:        func(setting string) []source { return []source{{setting, "", ""}} },
		label:       func(key string) []source { return []source{{"storageExtraLabels", key, ""}, {"commonLabels", key, ""}} },
		capacityToo: []source{{"storagePvcEnsure", "", ""}}, selector: []source{{"storageSelector", "", ""}},
	})
}

// otherClaim is one of the setting claims.
func (f *flaws) otherClaim(c *corev1.PersistentVolumeClaim) {
	key := c.Labels[LabelClaim]
	in := func(field string) []source { return []source{{"claims", key, "." + field}} }
	f.claim(c, &claimSettings{
		at: "claim " + key + "'s ", capacity: "storageCapacity", modes: "accessModes", class: "storageClass", from: in,
		label: func(label string) []source {
			return append(in("extraLabels["+label+"]"), source{"commonLabels", label, ""})
		},
		capacityToo: []source{{"claims", key, ""}}, selector: in("selector"),
	})
}

// claim is what both are held against.
func (f *flaws) claim(c *corev1.PersistentVolumeClaim, s *claimSettings) {
	storage, has := c.Spec.Resources.Requests[corev1.ResourceStorage]
	from := slices.Concat(s.from(s.capacity), s.capacityToo)
	switch {
	case !has:
		f.addf(s.at+"spec.resources.requests[storage]", from, "a claim needs a size: set storageCapacity, like 10Gi")
	case storage.Sign() <= 0:
		f.addf(s.at+"spec.resources.requests[storage]", from, "a claim of %s can't be made: set storageCapacity to more, like 10Gi", storage.String())
	}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod}
	if len(c.Spec.AccessModes) == 0 {
		f.addf(s.at+"spec.accessModes", s.from(s.modes), "a claim needs an access mode: write ReadWriteOnce, or leave %s out", s.modes)
	}
	for _, mode := range c.Spec.AccessModes {
		if !slices.Contains(modes, mode) {
			f.addf(s.at+"spec.accessModes", s.from(s.modes), "%q is no access mode: write ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod", mode)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		f.label(s.at+"metadata.labels["+key+"]", s.label(key), key, c.Labels[key])
	}
	if name := deref(c.Spec.StorageClassName); name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		f.addf(s.at+"spec.storageClassName", s.from(s.class), "%q is no storage class's name: %s", name, inShort(validation.IsDNS1123Subdomain(name)))
	}
	if errs := metav1validation.ValidateLabelSelector(c.Spec.Selector, metav1validation.LabelSelectorValidationOptions{}, nil); len(errs) > 0 {
		f.addf(s.at+"spec.selector", s.selector, "%s", errs[0].ErrorBody())
	}
}
