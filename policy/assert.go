package policy

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// reassert puts every enforced setting on the built pod once more: extraPodConfig: {containers: […]} or a
// mutation could have undone it. The namespace's come first, so the cluster's hold in the end.
func (x *server) reassert(pod *corev1.Pod) []Denial {
	if d := exactlyOneNotebook(pod); d != nil {
		return d
	}
	for _, a := range x.plan.asserted {
		x.assertLayer(pod, a)
		if d := exactlyOneNotebook(pod); d != nil {
			return d
		}
	}
	tidy(pod)
	return nil
}

// assertLayer puts the extra configurations first here: they replace whole fields, in which the layer's other settings then
// stand. A layer's own environment wins over the variables of its other settings, as when the pod is built.
func (x *server) assertLayer(pod *corev1.Pod, a assertion) {
	if len(a) == 0 {
		return
	}
	for _, first := range []bool{true, false} {
		for _, p := range putters {
			sc, enforced := a[p.setting]
			if !enforced || (p.setting == "extraPodConfig" || p.setting == "extraContainerConfig") != first {
				continue
			}
			p.put(x, pod, x.identities(p.setting, sc))
			x.trace.put(pod, p.setting)
			if notebook(pod) == nil {
				return
			}
		}
		if first {
			x.assertVariables(pod, a)
			x.assertCertificates(pod, a)
			x.trace.rest(pod)
		}
	}
	if _, own := a["extraPodConfig"]; !own && slices.ContainsFunc(schedulingSettings, func(name string) bool { _, has := a[name]; return has }) {
		pod.Spec.NodeName = "" // a pod with a node goes past the scheduler, and past all that is enforced there
	}
	x.assertMetadata(pod, a)
	x.assertEveryContainer(pod, a)
	x.trace.rest(pod)
}

// schedulingSettings are the settings that the scheduler heeds.
var schedulingSettings = []string{
	"nodeSelector", "tolerations", "schedulerName", "nodeAffinityRequired", "podAffinityRequired", "podAntiAffinityRequired",
}

// identities are the keys of a scope as they stand in the pod: things may be named by templates.
func (x *server) identities(setting string, sc scope) scope {
	s := definitions[setting].shape
	if s != byName && s != byMountPath {
		return sc
	}
	out := scope{whole: sc.whole, keys: slices.Clone(sc.keys)}
	for i, key := range out.keys {
		if t, err := parseTemplate(key, placeholders); err == nil {
			if text, err := t.expand(x.value); err == nil {
				key = text
			}
		}
		out.keys[i] = identityText(key, s)
	}
	return out
}

// assertEveryContainer: a restriction that held for the notebook alone could be walked around by a sidecar. A
// permission is given to the notebook alone.
func (x *server) assertEveryContainer(pod *corev1.Pod, a assertion) {
	_, privileged := a["privileged"]
	_, escalation := a["allowPrivilegeEscalation"]
	noPrivilege := privileged && !isTrue(x.s.Privileged)
	noEscalation := escalation && x.s.AllowPrivilegeEscalation != nil && !*x.s.AllowPrivilegeEscalation
	restrict := func(sc **corev1.SecurityContext) {
		if noPrivilege && *sc != nil && (*sc).Privileged != nil || noEscalation {
			own := corev1.SecurityContext{} // it may be shared with a plan
			if *sc != nil {
				own = **sc
			}
			*sc = &own
		}
		if noPrivilege && *sc != nil {
			(*sc).Privileged = nil
		}
		if noEscalation {
			(*sc).AllowPrivilegeEscalation = x.s.AllowPrivilegeEscalation
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			restrict(&list[i].SecurityContext)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		restrict(&pod.Spec.EphemeralContainers[i].SecurityContext)
	}
}

// assertMetadata: what labels and annotations say of the server itself is no setting's to change.
func (x *server) assertMetadata(pod *corev1.Pod, a assertion) {
	pod.Labels = x.assertLabels(pod.Labels, a, "extraLabels", x.s.ExtraLabels)
	if x.keeping() {
		pod.Labels = x.keptLabels(pod.Labels, a)
	} else {
		maps.Copy(pod.Labels, x.ownLabels())
	}
	if sc, ok := a["extraAnnotations"]; ok {
		pod.Annotations = putKeys(pod.Annotations, x.podAnnotations(), scope{keys: sc.keys})
	}
}

// assertLabels puts the labels that a layer enforces over weaker layers' labels of the other setting: commonLabels win over extra
// ones where labels are built, whoever says them.
func (x *server) assertLabels(labels map[string]string, a assertion, setting string, extra map[string]string) map[string]string {
	for _, l := range []struct {
		setting    string
		other, own map[string]string
	}{{setting, x.s.CommonLabels, extra}, {"commonLabels", extra, x.s.CommonLabels}} {
		if sc, ok := a[l.setting]; ok {
			from := make(map[string]string, len(l.other)+len(l.own))
			maps.Copy(from, l.other)
			maps.Copy(from, l.own)
			labels = putKeys(labels, from, scope{keys: sc.keys})
		}
	}
	return labels
}

// countNotebooks counts the containers that could be the user's.
func countNotebooks(pod *corev1.Pod) int {
	n := 0
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == NotebookContainer {
			n++
		}
	}
	return n
}

func exactlyOneNotebook(pod *corev1.Pod) []Denial {
	n := countNotebooks(pod)
	if n == 1 {
		return nil
	}
	return []Denial{denyf(PolicyInvalid, nil, "spec.containers",
		"the fitted pod has %d containers called %s, and must have one: see extraPodConfig.containers and extraContainers", n, NotebookContainer)}
}
