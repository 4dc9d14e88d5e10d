package policy

import corev1 "k8s.io/api/core/v1"

// withAffinity gives fill a copy of the pod's affinity to write to, and leaves out what stays empty.
func withAffinity(pod *corev1.Pod, fill func(n *corev1.NodeAffinity, p *corev1.PodAffinity, anti *corev1.PodAntiAffinity)) {
	var n corev1.NodeAffinity
	var p corev1.PodAffinity
	var anti corev1.PodAntiAffinity
	if a := pod.Spec.Affinity; a != nil {
		if a.NodeAffinity != nil {
			n = *a.NodeAffinity
		}
		if a.PodAffinity != nil {
			p = *a.PodAffinity
		}
		if a.PodAntiAffinity != nil {
			anti = *a.PodAntiAffinity
		}
	}
	fill(&n, &p, &anti)
	var out corev1.Affinity
	if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil || len(n.PreferredDuringSchedulingIgnoredDuringExecution) > 0 {
		out.NodeAffinity = &n
	}
	if len(p.RequiredDuringSchedulingIgnoredDuringExecution)+len(p.PreferredDuringSchedulingIgnoredDuringExecution) > 0 {
		out.PodAffinity = &p
	}
	if len(anti.RequiredDuringSchedulingIgnoredDuringExecution)+len(anti.PreferredDuringSchedulingIgnoredDuringExecution) > 0 {
		out.PodAntiAffinity = &anti
	}
	pod.Spec.Affinity = nil
	if out != (corev1.Affinity{}) {
		pod.Spec.Affinity = &out
	}
}

func putNodeAffinityPreferred(x *server, pod *corev1.Pod, sc scope) {
	withAffinity(pod, func(n *corev1.NodeAffinity, _ *corev1.PodAffinity, _ *corev1.PodAntiAffinity) {
		at := &n.PreferredDuringSchedulingIgnoredDuringExecution
		*at = putTerms(*at, x.s.NodeAffinityPreferred, sc)
	})
}

func putNodeAffinityRequired(x *server, pod *corev1.Pod, _ scope) {
	withAffinity(pod, func(n *corev1.NodeAffinity, _ *corev1.PodAffinity, _ *corev1.PodAntiAffinity) {
		n.RequiredDuringSchedulingIgnoredDuringExecution = nil
		if len(x.s.NodeAffinityRequired) > 0 {
			n.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: x.s.NodeAffinityRequired}
		}
	})
}

func putPodAffinityPreferred(x *server, pod *corev1.Pod, sc scope) {
	withAffinity(pod, func(_ *corev1.NodeAffinity, p *corev1.PodAffinity, _ *corev1.PodAntiAffinity) {
		at := &p.PreferredDuringSchedulingIgnoredDuringExecution
		*at = putTerms(*at, x.s.PodAffinityPreferred, sc)
	})
}

func putPodAffinityRequired(x *server, pod *corev1.Pod, sc scope) {
	withAffinity(pod, func(_ *corev1.NodeAffinity, p *corev1.PodAffinity, _ *corev1.PodAntiAffinity) {
		at := &p.RequiredDuringSchedulingIgnoredDuringExecution
		*at = putTerms(*at, x.s.PodAffinityRequired, sc)
	})
}

func putPodAntiAffinityPreferred(x *server, pod *corev1.Pod, sc scope) {
	withAffinity(pod, func(_ *corev1.NodeAffinity, _ *corev1.PodAffinity, anti *corev1.PodAntiAffinity) {
		at := &anti.PreferredDuringSchedulingIgnoredDuringExecution
		*at = putTerms(*at, x.s.PodAntiAffinityPreferred, sc)
	})
}

func putPodAntiAffinityRequired(x *server, pod *corev1.Pod, sc scope) {
	withAffinity(pod, func(_ *corev1.NodeAffinity, _ *corev1.PodAffinity, anti *corev1.PodAntiAffinity) {
		at := &anti.RequiredDuringSchedulingIgnoredDuringExecution
		*at = putTerms(*at, x.s.PodAntiAffinityRequired, sc)
	})
}
