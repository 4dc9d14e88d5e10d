package policy

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// In-tree admission runs before the webhooks and once more after them. What it gave the pod the first time is none of the
// hub's words, and what it computes from something that policy changes has to go, or it would refuse the pod.

const defaultAccount = "default"

// fillOverAdmission fills those fields that in-tree admission gives every pod which says nothing.
func fillOverAdmission(into, from *corev1.PodSpec) {
	if name := from.ServiceAccountName; name != "" && sameAccount(into.ServiceAccountName, defaultAccount) && name != into.ServiceAccountName {
		into.ServiceAccountName, into.DeprecatedServiceAccount = name, ""
	}
	if from.SchedulerName != "" && into.SchedulerName == corev1.DefaultSchedulerName {
		into.SchedulerName = from.SchedulerName
	}
	if slices.ContainsFunc(into.Tolerations, func(t corev1.Toleration) bool { return !isAdmissionToleration(&t) }) {
		return
	}
	for _, t := range from.Tolerations {
		if !slices.ContainsFunc(into.Tolerations, func(has corev1.Toleration) bool { return reflect.DeepEqual(has, t) }) {
			into.Tolerations = append(into.Tolerations, t)
		}
	}
}

func isAdmissionToleration(t *corev1.Toleration) bool {
	return (t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable) &&
		t.Operator == corev1.TolerationOpExists && t.Effect == corev1.TaintEffectNoExecute
}

// sameAccount: a pod without an account gets the default one.
func sameAccount(a, b string) bool {
	named := func(name string) string {
		if name == "" {
			return defaultAccount
		}
		return name
	}
	return named(a) == named(b)
}

// leaveToAdmission takes away what in-tree admission computed for the pod as it was sent, and has to compute anew for what it
// became.
func leaveToAdmission(sent, pod *corev1.Pod) {
	was, spec := &sent.Spec, &pod.Spec
	if spec.PriorityClassName != was.PriorityClassName {
		spec.Priority, spec.PreemptionPolicy = nil, nil
	}
	if deref(spec.RuntimeClassName) != deref(was.RuntimeClassName) {
		spec.Overhead = nil
	}
	tokens := tokenVolumes(was)
	if !sameAccount(spec.ServiceAccountName, was.ServiceAccountName) || !reflect.DeepEqual(spec.AutomountServiceAccountToken, was.AutomountServiceAccountToken) {
		spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return slices.Contains(tokens, v.Name) })
	}
	// A mount of a volume that went away would be an error; in-tree admission mounts the new one.
	gone := slices.DeleteFunc(tokens, func(name string) bool {
		return slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	})
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = slices.DeleteFunc(slices.Clone(list[i].VolumeMounts), func(m corev1.VolumeMount) bool { return slices.Contains(gone, m.Name) })
		}
	}
}

// tokenVolumes are the names of the volumes that in-tree admission mounts a service account's token from. By name alone
// anything could pass for one.
func tokenVolumes(spec *corev1.PodSpec) []string {
	var names []string
	for i := range spec.Volumes {
		if v := &spec.Volumes[i]; isTokenVolume(v) {
			names = append(names, v.Name)
		}
	}
	return names
}
