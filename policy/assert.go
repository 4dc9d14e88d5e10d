package policy

import (
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
// stand.
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
			p.put(x, pod, sc)
			if notebook(pod) == nil {
				return
			}
		}
	}
	x.assertMetadata(pod, a)
	x.assertEveryContainer(pod, a)
}

// assertEveryContainer: a restriction that held for the notebook alone could be walked around by a sidecar. A
// permission is given to the notebook alone.
func (x *server) assertEveryContainer(pod *corev1.Pod, a assertion) {
	_, privileged := a["privileged"]
	_, escalation := a["allowPrivilegeEscalation"]
	noPrivilege := privileged && !isTrue(x.s.Privileged)
	noEscalation := escalation && x.s.AllowPrivilegeEscalation != nil && !*x.s.AllowPrivilegeEscalation
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			if noPrivilege && c.SecurityContext != nil && c.SecurityContext.Privileged != nil {
				containerContext(c).Privileged = nil
			}
			if noEscalation {
				containerContext(c).AllowPrivilegeEscalation = x.s.AllowPrivilegeEscalation
			}
		}
	}
}

// assertMetadata: labels and annotations are built from several settings, so the enforced keys are taken from the
// built whole.
func (x *server) assertMetadata(pod *corev1.Pod, a assertion) {
	for _, setting := range []string{"commonLabels", "extraLabels"} {
		if sc, ok := a[setting]; ok {
			pod.Labels = putKeys(pod.Labels, x.podLabels(), scope{keys: sc.keys})
		}
	}
	if _, ok := a["componentLabel"]; ok {
		pod.Labels = putKeys(pod.Labels, x.podLabels(), scope{keys: []string{labelComponent, labelComponentNew}})
	}
	if sc, ok := a["extraAnnotations"]; ok {
		pod.Annotations = putKeys(pod.Annotations, x.podAnnotations(), scope{keys: sc.keys})
	}
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
