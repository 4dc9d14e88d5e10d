package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func (f *flaws) nodeSelector() {
	for _, key := range slices.Sorted(maps.Keys(f.pod.Spec.NodeSelector)) {
		f.label("spec.nodeSelector["+key+"]", []source{{"extraPodConfig", "nodeSelector", "[" + key + "]"}, {"nodeSelector", key, ""}}, key, f.pod.Spec.NodeSelector[key])
	}
}

func (f *flaws) tolerations() {
	for i, t := range f.pod.Spec.Tolerations {
		where := fmt.Sprintf("spec.tolerations[%d]", i)
		from := []source{{"extraPodConfig", "tolerations", fmt.Sprintf("[%d]", i)}, {"tolerations", strconv.Itoa(i), ""}}
		switch {
		case t.Operator != "" && t.Operator != corev1.TolerationOpEqual && t.Operator != corev1.TolerationOpExists && t.Operator != "Lt" && t.Operator != "Gt":
			f.addf(where, from, "%q is no operator of a toleration: write Equal or Exists", t.Operator)
		case t.Operator == corev1.TolerationOpExists && t.Value != "":
			f.addf(where, from, "a toleration with operator Exists has no value: take the value out, or write operator: Equal")
		case t.Key == "" && t.Operator != corev1.TolerationOpExists:
			f.addf(where, from, "a toleration without a key tolerates everything, and that is written operator: Exists")
		case t.Key != "" && len(validation.IsQualifiedName(t.Key)) > 0:
			f.addf(where, from, "%q is no taint's key: %s", t.Key, inShort(validation.IsQualifiedName(t.Key)))
		case t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute:
			f.addf(where, from, "tolerationSeconds are for effect: NoExecute alone: take them out")
		}
		effects := []corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
		if !slices.Contains(effects, t.Effect) {
			f.addf(where, from, "%q is no effect of a taint: write NoSchedule, PreferNoSchedule or NoExecute", t.Effect)
		}
	}
}

func (f *flaws) affinity() {
	a := f.pod.Spec.Affinity
	if a == nil {
		return
	}
	from := func(setting string, i int) (string, []source) {
		return definitions[setting].lands + fmt.Sprintf("[%d]", i), []source{{"extraPodConfig", "affinity", ""}, {setting, strconv.Itoa(i), ""}}
	}
	if n := a.NodeAffinity; n != nil {
		if n.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			for i, t := range n.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
				where, from := from("nodeAffinityRequired", i)
				f.nodeTerm(where, from, &t)
			}
		}
		for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			where, from := from("nodeAffinityPreferred", i)
			f.weight(where, from, t.Weight)
			f.nodeTerm(where, from, &t.Preference)
		}
	}
	terms := func(setting string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			where, from := from(setting+"Required", i)
			f.podTerm(where, from, &required[i])
		}
		for i := range preferred {
			where, from := from(setting+"Preferred", i)
			f.weight(where, from, preferred[i].Weight)
			f.podTerm(where, from, &preferred[i].PodAffinityTerm)
		}
	}
	if p := a.PodAffinity; p != nil {
		terms("podAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		terms("podAntiAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func (f *flaws) weight(where string, from []source, weight int32) {
	const most = 100
	if weight < 1 || weight > most {
		f.addf(where, from, "weight %d must be 1 to %d", weight, most)
	}
}

func (f *flaws) nodeTerm(where string, from []source, t *corev1.NodeSelectorTerm) {
	for _, r := range slices.Concat(t.MatchExpressions, t.MatchFields) {
		switch r.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			if len(r.Values) == 0 {
				f.addf(where, from, "operator %s for key %s needs values", r.Operator, r.Key)
			}
		case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				f.addf(where, from, "operator %s for key %s has no values: take them out, or write operator: In", r.Operator, r.Key)
			}
		case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
			if len(r.Values) != 1 {
				f.addf(where, from, "operator %s for key %s needs one number", r.Operator, r.Key)
			}
		default:
			f.addf(where, from, "%q is no operator: write In, NotIn, Exists, DoesNotExist, Gt or Lt", r.Operator)
		}
	}
	for _, r := range t.MatchExpressions {
		if problems := validation.IsQualifiedName(r.Key); len(problems) > 0 {
			f.addf(where, from, "%q is no node label's name: %s", r.Key, inShort(problems))
		}
	}
}

func (f *flaws) podTerm(where string, from []source, t *corev1.PodAffinityTerm) {
	if t.TopologyKey == "" {
		f.addf(where, from, "needs a topologyKey, like kubernetes.io/hostname")
	}
	if _, err := metav1.LabelSelectorAsSelector(t.LabelSelector); err != nil {
		f.addf(where, from, "labelSelector: %v", err)
	}
}
