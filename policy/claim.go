package policy

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
	delete(c.Labels, LabelClaim) // a home has none, whatever policy says
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
