package policy

import corev1 "k8s.io/api/core/v1"

// certificateVolume is the volume of the TLS Secret that a hub with internal TLS gives each server.
const certificateVolume = "jupyterhub-internal-certs"

// internalSSL: an empty path switches the mount off, as upstream.
func (x *server) internalSSL() bool {
	return isTrue(x.s.InternalSSL) && deref(x.s.SecretMountPath) != "" && x.names.Secret != ""
}

func (x *server) mountCertificates(pod *corev1.Pod) {
	if x.internalSSL() {
		nb := notebook(pod)
		nb.VolumeMounts = append(nb.VolumeMounts, corev1.VolumeMount{Name: certificateVolume, MountPath: deref(x.s.SecretMountPath)})
	}
}

func (x *server) addCertificateVolume(pod *corev1.Pod) {
	if !x.internalSSL() {
		return
	}
	// 0777, which is what upstream sets.
	mode := int32(0o777)
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: certificateVolume, VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: x.names.Secret, DefaultMode: &mode},
	}})
}
