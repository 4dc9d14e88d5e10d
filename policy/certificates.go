package policy

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// certificateVolume is the volume of the TLS Secret that a hub with internal TLS gives each server.
const certificateVolume = "jupyterhub-internal-certs"

// internalSSL: an empty path switches the mount off, as upstream.
func (x *server) internalSSL() bool {
	return isTrue(x.s.InternalSSL) && deref(x.s.SecretMountPath) != "" && x.names.Secret != ""
}

func (x *server) mountCertificates(pod *corev1.Pod) {
	if x.internalSSL() {
		nb := notebook(pod)
		nb.VolumeMounts = putItems(nb.VolumeMounts, []corev1.VolumeMount{{Name: certificateVolume, MountPath: deref(x.s.SecretMountPath)}},
			scope{keys: []string{cleanPath(deref(x.s.SecretMountPath))}}, mountPath)
	}
}

func (x *server) addCertificateVolume(pod *corev1.Pod) {
	if !x.internalSSL() {
		return
	}
	pod.Spec.Volumes = putItems(pod.Spec.Volumes, []corev1.Volume{{
		Name: certificateVolume, VolumeSource: corev1.VolumeSource{Secret: x.certificateSecret()},
	}}, scope{keys: []string{certificateVolume}}, volumeName)
}

// certificateSecret is where the files are: in the env Secret where the launcher put them there, else in a Secret of their own, which
// is upstream's way.
func (x *server) certificateSecret() *corev1.SecretVolumeSource {
	// 0777, which is what upstream sets.
	mode := int32(0o777)
	id := &x.in.Identity
	if id.EnvSecret == "" || !slices.Contains(id.EnvKeys, CertificateKeyFile) {
		return &corev1.SecretVolumeSource{SecretName: x.names.Secret, DefaultMode: &mode}
	}
	s := &corev1.SecretVolumeSource{SecretName: id.EnvSecret, DefaultMode: &mode}
	for _, file := range CertificateFiles() {
		s.Items = append(s.Items, corev1.KeyToPath{Key: file, Path: file}) // nothing else of the Secret
	}
	return s
}

var certificateVariableNames = []string{"JUPYTERHUB_SSL_KEYFILE", "JUPYTERHUB_SSL_CERTFILE", "JUPYTERHUB_SSL_CLIENT_CA"}

func (x *server) certificateVariables(env environment) {
	if !x.internalSSL() {
		return
	}
	for i, file := range CertificateFiles() {
		env.set(certificateVariableNames[i], deref(x.s.SecretMountPath)+file)
	}
}

// assertCertificates puts what internal TLS needs on the pod once more, where a layer decides on it.
func (x *server) assertCertificates(pod *corev1.Pod, a assertion) {
	for _, setting := range []string{"internalSsl", "secretMountPath", "secretNameTemplate"} {
		if _, enforced := a[setting]; enforced {
			x.mountCertificates(pod)
			x.addCertificateVolume(pod)
			return
		}
	}
}
