package policy

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func (f *flaws) volumes() {
	seen := map[string]bool{}
	for i := range f.pod.Spec.Volumes {
		v := &f.pod.Spec.Volumes[i]
		where := "spec.volumes[" + v.Name + "]"
		from := func(rest string) []source {
			return []source{{"extraPodConfig", "volumes", fmt.Sprintf("[%d]%s", i, rest)}, {"volumes", v.Name, rest}}
		}
		if problems := validation.IsDNS1123Label(v.Name); len(problems) > 0 {
			f.addf(where, from(""), "%q is no volume's name: %s", v.Name, inShort(problems))
		}
		if seen[v.Name] {
			f.addf(where, from(""), "two volumes are called %s: rename one", v.Name)
		}
		seen[v.Name] = true
		if sources := volumeSources(&v.VolumeSource); len(sources) > 1 {
			f.addf(where, from(""), "volume %s has %d sources, %s: keep one, and take the others of weaker layers away with unset", v.Name, len(sources), strings.Join(sources, " and "))
		}
		for _, need := range volumeNeeds(v) {
			if need.value == "" {
				f.addf(where+need.rest, from(need.rest), "volume %s needs it: %s", v.Name, need.what)
			}
		}
	}
}

// volumeSources are the names of the sources that a volume has.
func volumeSources(s *corev1.VolumeSource) []string {
	var names []string
	v := reflect.ValueOf(s).Elem()
	for name, at := range volumeSourceFields {
		if !v.Field(at).IsNil() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var volumeSourceFields = jsonFields(reflect.TypeFor[corev1.VolumeSource]())

// need is a field without which a volume is invalid.
type need struct{ rest, value, what string }

func volumeNeeds(v *corev1.Volume) []need {
	var needs []need
	if s := v.PersistentVolumeClaim; s != nil {
		needs = append(needs, need{".persistentVolumeClaim.claimName", s.ClaimName, `name the claim, "{pvc_name}" for the user's own`})
	}
	if s := v.Secret; s != nil {
		needs = append(needs, need{".secret.secretName", s.SecretName, "name the Secret"})
	}
	if s := v.ConfigMap; s != nil {
		needs = append(needs, need{".configMap.name", s.Name, "name the ConfigMap"})
	}
	if s := v.HostPath; s != nil {
		needs = append(needs, need{".hostPath.path", s.Path, "name the folder of the node"})
	}
	if s := v.NFS; s != nil {
		needs = append(needs, need{".nfs.server", s.Server, "name the NFS server"}, need{".nfs.path", s.Path, "name the folder of the NFS server"})
	}
	return needs
}

func (f *flaws) mounts(at spot, c *corev1.Container) {
	first := map[string]string{}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		where := fmt.Sprintf("%s.volumeMounts[%d]", at.path, i)
		from := at.from("volumeMounts", fmt.Sprintf("[%d]", i), source{"volumeMounts", mountPath(m), ""})
		known := slices.ContainsFunc(f.pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if !known {
			f.addf(where, from, "volume %q is mounted at %s, and no layer defines it: add it to volumes, or take the mount out%s", m.Name, m.MountPath, f.likeVolume(m.Name))
		}
		if before, twice := first[m.MountPath]; twice {
			f.addf(where, from, "volumes %s and %s are both mounted at %s: take one of them out", before, m.Name, m.MountPath)
		}
		first[m.MountPath] = m.Name
		switch {
		case m.MountPath == "":
			f.addf(where, from, "volume %s is mounted nowhere: give the mount a mountPath", m.Name)
		case strings.Contains(m.MountPath, ":"):
			f.addf(where, from, "mountPath %q has a colon, which no mount may have: name another folder", m.MountPath)
		}
		f.subPath(where, from, m)
	}
}

func (f *flaws) likeVolume(name string) string {
	names := make([]string, 0, len(f.pod.Spec.Volumes))
	for i := range f.pod.Spec.Volumes {
		names = append(names, f.pod.Spec.Volumes[i].Name)
	}
	return DidYouMean(name, names)
}

func (f *flaws) subPath(where string, from []source, m *corev1.VolumeMount) {
	if m.SubPath != "" && m.SubPathExpr != "" {
		f.addf(where, from, "the mount has subPath and subPathExpr: take one of them out")
	}
	for _, sub := range []string{m.SubPath, m.SubPathExpr} {
		if path.IsAbs(sub) || slices.Contains(strings.Split(sub, "/"), "..") {
			f.addf(where, from, "subPath %q must be a folder inside the volume: write it without / at the start and without ..", sub)
		}
	}
}
