package parity

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Normalisation is one thing that the comparison takes no notice of.
type Normalisation struct {
	What string
	Why  string
}

// Normalisations is the whole list; the tests print it.
func Normalisations() []Normalisation {
	return []Normalisation{
		{"annotations hub.jupyter.org/kubespawner-version and jupyterhub-version are dropped", "they name the program that made the pod, and it is another one"},
		{"labels and annotations slipway.dev/* are dropped", "identity and provenance, which KubeSpawner doesn't have"},
		{"an empty annotation hub.jupyter.org/servername is dropped", "a skeleton says which server it is also when it is the default one"},
		{"metadata.namespace is dropped", "KubeSpawner says it in the URL of the request"},
		{"empty lists and maps equal absent ones", "the API server stores the same"},
		{"null in a list or map of texts equals the empty text", "the API server stores the same"},
		{"restartPolicy Always and an empty securityContext of the pod equal absent ones", "the API server's defaults"},
		{"an empty lifecycle or affinity equals an absent one", "neither says anything"},
		{"fields that Kubernetes doesn't know are dropped", "the API server drops them; refusing such a server is right too"},
		{"quantities are compared by value", "1073741824 and 1Gi are one size"},
	}
}

const ourDomain = "slipway.dev/"

func normalisePod(pod *corev1.Pod) {
	normaliseMeta(&pod.ObjectMeta)
	spec := &pod.Spec
	if spec.RestartPolicy == "" {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			if containers[i].Lifecycle == nil {
				containers[i].Lifecycle = &corev1.Lifecycle{}
			}
		}
	}
}

func normaliseClaim(claim *corev1.PersistentVolumeClaim) { normaliseMeta(&claim.ObjectMeta) }

func normaliseMeta(meta *metav1.ObjectMeta) {
	meta.Namespace = ""
	for _, keys := range []map[string]string{meta.Labels, meta.Annotations} {
		for key := range keys {
			if strings.HasPrefix(key, ourDomain) {
				delete(keys, key)
			}
		}
	}
	delete(meta.Annotations, "hub.jupyter.org/kubespawner-version")
	delete(meta.Annotations, "hub.jupyter.org/jupyterhub-version")
	if name, has := meta.Annotations["hub.jupyter.org/servername"]; has && name == "" {
		delete(meta.Annotations, "hub.jupyter.org/servername")
	}
}
