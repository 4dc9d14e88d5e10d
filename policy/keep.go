package policy

import (
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// keeping says whether the pod that was sent takes the place of the built one.
func (x *server) keeping() bool { return x.plan.mode == v1alpha1.SkeletonKeep }

// keep makes the pod of skeleton mode Keep from the one that was sent, which it leaves as it is: what policy doesn't speak of
// is the hub's. Kept once more, the pod stays the same, so that a final pod can be held against it.
//
// sent may carry what in-tree admission has added, and a kept pod leaves out what that has to compute anew.
func (x *server) keep(sent *corev1.Pod) (pod *corev1.Pod, denials []Denial, warnings []string) {
	if denials := keptShape(sent); denials != nil {
		return nil, denials, nil
	}
	pod = sent.DeepCopy()
	x.trace.sent(pod)
	dropped := append(x.dropMetadata(pod), x.dropVariables(pod)...)
	x.trace.rest(pod)
	x.fill(pod)
	x.assertLayer(pod, x.computed)
	if pod, denials = x.mutate(pod); len(denials) > 0 {
		return nil, denials, nil
	}
	if denials := x.reassert(pod); len(denials) > 0 {
		return nil, denials, nil
	}
	x.fitRequests(sent, pod)
	dropped = append(dropped, x.followSettings(sent, pod)...)
	restoreEmpty(sent, pod)
	leaveToAdmission(sent, pod)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[AnnotationApplied] = x.applied()
	x.sayWhereToConnect(pod.Annotations)
	return pod, nil, listWarnings("dropped from the pod: ", dropped)
}

// bareSkeleton stands in for the pod of a caller who sent none (offline use).
func (x *server) bareSkeleton() *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: x.names.Pod, Namespace: x.in.Namespace.Name,
			Labels: x.in.Identity.Labels(), Annotations: x.in.Identity.Annotations(),
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: NotebookContainer}}},
	}
}

// keptShape: a hub's pod may have any containers, as long as the user's can be told from the others.
func keptShape(sent *corev1.Pod) []Denial {
	if n := countNotebooks(sent); n != 1 {
		return []Denial{denyf(SkeletonNotBare, nil, "spec.containers",
			"a pod that is kept has one container named %s, in which the user's server runs, and this pod has %d", NotebookContainer, n)}
	}
	return farIn(sent)
}

// keepConflicts are what can't be said of a pod that comes from the hub. One policy says Keep and another may say the
// rest, so it can't be known before policies meet.
func keepConflicts(policies []*compiledPolicy) []Denial {
	if skeletonMode(policies) != v1alpha1.SkeletonKeep {
		return nil
	}
	var denials []Denial
	for _, p := range policies {
		// A policy that says both by itself is invalid already.
		if len(p.spec.Profiles) > 0 && p.spec.Skeleton != v1alpha1.SkeletonKeep {
			denials = append(denials, denyf(PolicyInvalid, &p.ref, "spec.profiles", "%s", profilesWithKeep))
		}
		if a := p.spec.Additions; a != nil && a.Mode != v1alpha1.AdditionsAllow {
			denials = append(denials, denyf(PolicyInvalid, &p.ref, "spec.additions.mode",
				"can't be combined with skeleton: Keep, where it can't be told any more what the hub sent and what was added: take one of them out"))
		}
		for _, b := range []*block{&p.defaults, &p.enforced} {
			if b.tree["internalSsl"] == true {
				denials = append(denials, denyf(PolicyInvalid, &p.ref, b.path.Child("internalSsl").String(), "%s", certificatesWithKeep))
			}
		}
		for i := range p.expressions {
			if e := &p.expressions[i]; e.setting == "internalSsl" {
				denials = append(denials, denyf(PolicyInvalid, &p.ref, e.path.String(), "%s", certificatesWithKeep))
			}
		}
	}
	return denials
}

const certificatesWithKeep = "can't be combined with skeleton: Keep, where the hub itself mounts the certificates: take it out"

const profilesWithKeep = "can't be combined with skeleton: Keep, where the pod comes from the hub: let the hub offer the choice, or take Keep out"

// droppedAnnotations turn into fields after the webhooks (AppArmor's), or did so once (seccomp's): a way around what policy
// says of the fields.
var droppedAnnotations = []string{
	corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "*",
	"seccomp.security.alpha.kubernetes.io/pod",
	"container.seccomp.security.alpha.kubernetes.io/*",
}

// dropMetadata takes away the labels and annotations that no hub may set, and gives their paths. Identity stays, whatever
// policy denies: without it the pod would be nobody's. What policy itself sets is no hub's word.
func (x *server) dropMetadata(pod *corev1.Pod) []string {
	own := &corev1.Pod{}
	for _, a := range append(x.plan.asserted[:], x.plan.filling) {
		x.assertMetadata(own, a)
	}
	metav1.SetMetaDataAnnotation(&own.ObjectMeta, AnnotationApplied, x.applied())
	var dropped []string
	drop := func(field string, of, own map[string]string, isIdentity func(string) bool, refused []string) {
		for _, key := range slices.Sorted(maps.Keys(of)) {
			refuse := strings.HasPrefix(key, ownDomain) || matchesAny(refused, key) || matchesAny(x.plan.metadataDeny, key)
			if value, set := own[key]; isIdentity(key) || !refuse || set && value == of[key] {
				continue
			}
			delete(of, key)
			dropped = append(dropped, "metadata."+field+"["+key+"]")
		}
	}
	drop("labels", pod.Labels, own.Labels, IsIdentityLabel, nil)
	drop("annotations", pod.Annotations, own.Annotations, IsIdentityAnnotation, droppedAnnotations)
	return dropped
}

// keptLabels puts right what no policy's labels have a say on, as far as the hub has it: whose the pod is.
func (x *server) keptLabels(labels map[string]string, a assertion) map[string]string {
	for key, value := range x.in.Identity.Labels() {
		if _, has := labels[key]; has {
			labels[key] = value
		}
	}
	if _, named := a["componentLabel"]; named {
		labels = putKeys(labels, x.ownLabels(), scope{keys: []string{labelComponent, labelComponentNew}})
	}
	return labels
}

// ownDomain is of the keys that are ours to set.
const ownDomain = "slipway.dev/"

// fill gives the pod what policies' defaults name and it lacks. Built-in defaults fill nothing.
func (x *server) fill(pod *corev1.Pod) {
	nb := notebook(pod)
	nb.Env = append(nb.Env, x.passedVariables(nb.Env)...)
	if len(x.plan.filling) == 0 {
		return
	}
	donor, before := x.donor(), x.followedValues(nb)
	// The command is one thing, whichever of the two fields the hub has it in.
	if from := notebook(donor); from != nil && len(nb.Command) > 0 {
		from.Args = nil
	}
	fillOverAdmission(&pod.Spec, &donor.Spec)
	if from := notebook(donor); from != nil {
		fillFields(reflect.ValueOf(nb).Elem(), reflect.ValueOf(from).Elem())
	}
	fillFields(reflect.ValueOf(&pod.Spec).Elem(), reflect.ValueOf(&donor.Spec).Elem())
	x.fillFollowers(notebook(pod), before)
	fillFields(reflect.ValueOf(&pod.Labels).Elem(), reflect.ValueOf(donor.Labels))
	fillFields(reflect.ValueOf(&pod.Annotations).Elem(), reflect.ValueOf(donor.Annotations))
	x.trace.fill(pod)
}

// donor is a pod with nothing but what policies' defaults name. Parts of it are the plan's, as in a built pod.
func (x *server) donor() *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: NotebookContainer}}}}
	for _, p := range putters {
		if sc, named := x.plan.filling[p.setting]; named {
			p.put(x, pod, x.identities(p.setting, sc))
			x.trace.donor(pod, p.setting)
		}
	}
	x.assertMetadata(pod, x.plan.filling)
	return pod
}

// filledInside are the structures that are filled field by field; of any other, the pod has all or nothing.
var filledInside = []reflect.Type{
	reflect.TypeFor[corev1.PodSpec](), reflect.TypeFor[corev1.PodSecurityContext](),
	reflect.TypeFor[corev1.Container](), reflect.TypeFor[corev1.SecurityContext](), reflect.TypeFor[corev1.ResourceRequirements](),
	reflect.TypeFor[corev1.Affinity](), reflect.TypeFor[corev1.NodeAffinity](), reflect.TypeFor[corev1.PodAffinity](), reflect.TypeFor[corev1.PodAntiAffinity](),
}

// filledByItem are the lists whose items have an identity: a name, or of a mount its place.
var filledByItem = []reflect.Type{
	reflect.TypeFor[[]corev1.Container](), reflect.TypeFor[[]corev1.ContainerPort](), reflect.TypeFor[[]corev1.EnvVar](),
	reflect.TypeFor[[]corev1.Volume](), reflect.TypeFor[[]corev1.VolumeMount](),
}

// fillFields puts what from has where into lacks it: maps key by key, lists of things that have an identity item by item, other
// lists and scalars only where there is none.
func fillFields(into, from reflect.Value) {
	switch {
	case from.IsZero():
	case from.Kind() == reflect.Struct && slices.Contains(filledInside, from.Type()):
		for i := range from.NumField() {
			fillFields(into.Field(i), from.Field(i))
		}
	case into.IsZero():
		into.Set(from)
	case from.Kind() == reflect.Pointer:
		if slices.Contains(filledInside, from.Type().Elem()) {
			fillFields(into.Elem(), from.Elem())
		}
	case from.Kind() == reflect.Map:
		for it := from.MapRange(); it.Next(); {
			if !into.MapIndex(it.Key()).IsValid() {
				into.SetMapIndex(it.Key(), it.Value())
			}
		}
	case slices.Contains(filledByItem, from.Type()):
		fillItems(into, from)
	}
}

func fillItems(into, from reflect.Value) {
	id := func(item reflect.Value) string {
		if m, ok := reflect.TypeAssert[corev1.VolumeMount](item); ok {
			return path.Clean(m.MountPath)
		}
		return item.FieldByName("Name").String()
	}
	has := map[string]bool{}
	for i := range into.Len() {
		has[id(into.Index(i))] = true
	}
	for i := range from.Len() {
		if item := from.Index(i); !has[id(item)] {
			into.Set(reflect.Append(into, item))
		}
	}
}

// fitRequests takes requests along with a limit that policy changed. The API server has made a request of every limit that came
// without one, and refuses a request that exceeds its limit.
func (x *server) fitRequests(sent, pod *corev1.Pod) {
	was, now := &notebook(sent).Resources, &notebook(pod).Resources
	for name, limit := range now.Limits {
		before, had := was.Limits[name]
		request, has := now.Requests[name]
		if has && had && limit.Cmp(before) != 0 && !x.enforcesRequest(name) && (request.Cmp(limit) > 0 || request.Cmp(before) == 0) {
			now.Requests[name] = limit
		}
	}
}

func (x *server) enforcesRequest(name corev1.ResourceName) bool {
	setting := map[corev1.ResourceName]string{corev1.ResourceCPU: "cpuGuarantee", corev1.ResourceMemory: "memGuarantee"}[name]
	return x.enforces(setting) || x.enforces("extraResourceGuarantees") && setting == ""
}

// restoreEmpty keeps structures that hold nothing as the pod had them: the API server gives every pod an empty security
// context, and taking it away would be a difference without a meaning.
func restoreEmpty(sent, pod *corev1.Pod) {
	if pod.Spec.SecurityContext == nil && sent.Spec.SecurityContext != nil {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if nb := notebook(pod); nb.SecurityContext == nil && notebook(sent).SecurityContext != nil {
		nb.SecurityContext = &corev1.SecurityContext{}
	}
}
