package launcher

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

// Skeleton is the pod that a launcher sends for a server: who it is for, and one container that has nothing but its
// name. Policy decides on the rest. id.Name must be the name that policy's podNameTemplate gives; another is denied.
func Skeleton(id policy.Identity, namespace string) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        id.Name,
			Namespace:   namespace,
			Labels:      id.Labels(),
			Annotations: id.Annotations(),
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: policy.NotebookContainer}}},
	}
}
