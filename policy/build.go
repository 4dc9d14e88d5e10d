package policy

import (
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// putter puts one setting on a pod: all of it when the pod is built, and what of it is enforced when it is
// asserted again. So there is one place that knows where a setting lands.
type putter struct {
	setting string
	put     func(x *server, pod *corev1.Pod, sc scope)
}

// putters in the order in which KubeSpawner's make_pod sets the fields: the extra configurations replace whole
// fields, of the container before the others are added, of the pod last of all.
var putters = []putter{
	{"imagePullSecrets", func(x *server, pod *corev1.Pod, _ scope) { pod.Spec.ImagePullSecrets = x.s.ImagePullSecrets }},
	{"nodeSelector", putNodeSelector},
	{"fsGid", func(x *server, pod *corev1.Pod, _ scope) { podContext(pod).FSGroup = x.s.FsGID }},
	{"supplementalGids", func(x *server, pod *corev1.Pod, _ scope) { podContext(pod).SupplementalGroups = x.s.SupplementalGIDs }},
	{"podSecurityContext", putPodSecurityContext},
	{"image", func(x *server, pod *corev1.Pod, _ scope) { notebook(pod).Image = deref(x.s.Image) }},
	{"imagePullPolicy", putPullPolicy},
	{"workingDir", func(x *server, pod *corev1.Pod, _ scope) { notebook(pod).WorkingDir = deref(x.s.WorkingDir) }},
	{"port", putPort},
	{"environment", putEnvironment},
	{"cmd", putArgs},
	{"args", putArgs},
	{"lifecycleHooks", func(x *server, pod *corev1.Pod, _ scope) { notebook(pod).Lifecycle = x.s.LifecycleHooks }},
	{"volumeMounts", putVolumeMounts},
	{"uid", func(x *server, pod *corev1.Pod, _ scope) { containerContext(notebook(pod)).RunAsUser = x.s.UID }},
	{"gid", func(x *server, pod *corev1.Pod, _ scope) { containerContext(notebook(pod)).RunAsGroup = x.s.GID }},
	{"privileged", putPrivileged},
	{"allowPrivilegeEscalation", putAllowPrivilegeEscalation},
	{"containerSecurityContext", putContainerSecurityContext},
	{"serviceAccount", putServiceAccount},
	{"automountServiceAccountToken", putAutomount},
	{"cpuGuarantee", putQuantity(requests, corev1.ResourceCPU, func(s *settings) *resource.Quantity { return s.CPUGuarantee })},
	{"memGuarantee", putQuantity(requests, corev1.ResourceMemory, func(s *settings) *resource.Quantity { return s.MemGuarantee })},
	{"extraResourceGuarantees", putExtraResources(requests, func(s *settings) map[string]resource.Quantity { return s.ExtraResourceGuarantees })},
	{"cpuLimit", putQuantity(limits, corev1.ResourceCPU, func(s *settings) *resource.Quantity { return s.CPULimit })},
	{"memLimit", putQuantity(limits, corev1.ResourceMemory, func(s *settings) *resource.Quantity { return s.MemLimit })},
	{"extraResourceLimits", putExtraResources(limits, func(s *settings) map[string]resource.Quantity { return s.ExtraResourceLimits })},
	{"extraContainerConfig", putExtraContainerConfig},
	{"extraContainers", putExtraContainers},
	{"tolerations", putTolerations},
	{"initContainers", putInitContainers},
	{"volumes", putVolumes},
	{"schedulerName", func(x *server, pod *corev1.Pod, _ scope) { pod.Spec.SchedulerName = deref(x.s.SchedulerName) }},
	{"nodeAffinityPreferred", putNodeAffinityPreferred},
	{"nodeAffinityRequired", putNodeAffinityRequired},
	{"podAffinityPreferred", putPodAffinityPreferred},
	{"podAffinityRequired", putPodAffinityRequired},
	{"podAntiAffinityPreferred", putPodAntiAffinityPreferred},
	{"podAntiAffinityRequired", putPodAntiAffinityRequired},
	{"priorityClassName", putPriorityClass},
	{"extraPodConfig", putExtraPodConfig},
}

// build makes the pod of the expanded settings.
func (x *server) build() *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        x.names.Pod,
			Namespace:   x.in.Namespace.Name,
			Labels:      x.podLabels(),
			Annotations: x.podAnnotations(),
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyOnFailure,
			Containers:    []corev1.Container{{Name: NotebookContainer}},
		},
	}
	x.trace.rest(pod)
	for _, p := range putters {
		p.put(x, pod, everything)
		x.trace.put(pod, p.setting)
	}
	tidy(pod)
	return pod
}

// tidy leaves out structures that hold nothing, which is how the API server stores them.
func tidy(pod *corev1.Pod) {
	if sc := pod.Spec.SecurityContext; sc != nil && reflect.ValueOf(*sc).IsZero() {
		pod.Spec.SecurityContext = nil
	}
	nb := notebook(pod)
	if nb != nil && nb.SecurityContext != nil && reflect.ValueOf(*nb.SecurityContext).IsZero() {
		nb.SecurityContext = nil
	}
}

// notebook is the user's container, found by its name: others may stand before it. Nil where there is none.
func notebook(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == NotebookContainer {
			return &pod.Spec.Containers[i]
		}
	}
	return nil
}

// podContext is the pod's security context to write to; a copy, as it may be shared with a plan.
func podContext(pod *corev1.Pod) *corev1.PodSecurityContext {
	sc := corev1.PodSecurityContext{}
	if pod.Spec.SecurityContext != nil {
		sc = *pod.Spec.SecurityContext
	}
	pod.Spec.SecurityContext = &sc
	return &sc
}

// containerContext is a container's security context to write to; a copy, as it may be shared with a plan.
func containerContext(c *corev1.Container) *corev1.SecurityContext {
	sc := corev1.SecurityContext{}
	if c.SecurityContext != nil {
		sc = *c.SecurityContext
	}
	c.SecurityContext = &sc
	return &sc
}

func putNodeSelector(x *server, pod *corev1.Pod, sc scope) {
	pod.Spec.NodeSelector = putKeys(pod.Spec.NodeSelector, x.s.NodeSelector, sc)
}

// putKeys puts the keys of a scope, or all, over a map; a key that is not in from is taken away.
func putKeys[V any](into, from map[string]V, sc scope) map[string]V {
	if sc.whole {
		return maps.Clone(from)
	}
	out := maps.Clone(into)
	for _, k := range sc.keys {
		if v, has := from[k]; has {
			if out == nil {
				out = map[string]V{}
			}
			out[k] = v
		} else {
			delete(out, k)
		}
	}
	return out
}

// putItems does the same for a list of things with an identity: what is there is replaced in its place.
func putItems[V any](into, from []V, sc scope, id func(*V) string) []V {
	if sc.whole {
		return slices.Clone(from)
	}
	out := slices.Clone(into)
	for _, key := range sc.keys {
		is := func(v V) bool { return id(&v) == key }
		want := slices.IndexFunc(from, is)
		have := slices.IndexFunc(out, is)
		switch {
		case want < 0:
			out = slices.DeleteFunc(out, is)
		case have < 0:
			out = append(out, from[want])
		default:
			out[have] = from[want]
			// Of two with one identity, the later could be the one that counts.
			out = append(out[:have+1], slices.DeleteFunc(out[have+1:], is)...)
		}
	}
	return out
}

// putTerms does the same for things without an identity: the enforced ones must be there. Keys are their places.
func putTerms[V any](into, from []V, sc scope) []V {
	if sc.whole {
		return slices.Clone(from)
	}
	out := slices.Clone(into)
	for _, key := range sc.keys {
		at, err := strconv.Atoi(key)
		if err != nil || at < 0 || at >= len(from) {
			continue
		}
		if !slices.ContainsFunc(out, func(v V) bool { return reflect.DeepEqual(v, from[at]) }) {
			out = append(out, from[at])
		}
	}
	return out
}

// putPodSecurityContext: all of it means exactly these, over the settings that stand in it too.
func putPodSecurityContext(x *server, pod *corev1.Pod, sc scope) {
	own := *podContext(pod)
	if sc.whole {
		own = corev1.PodSecurityContext{FSGroup: x.s.FsGID, SupplementalGroups: x.s.SupplementalGIDs}
	}
	putFields(&own, &x.s.PodSecurityContext, sc)
	pod.Spec.SecurityContext = &own
}

// putContainerSecurityContext does the same for the notebook.
func putContainerSecurityContext(x *server, pod *corev1.Pod, sc scope) {
	own := containerContext(notebook(pod))
	if sc.whole {
		*own = corev1.SecurityContext{RunAsUser: x.s.UID, RunAsGroup: x.s.GID, AllowPrivilegeEscalation: x.s.AllowPrivilegeEscalation}
		putPrivileged(x, pod, sc)
		own = containerContext(notebook(pod))
	}
	putFields(own, &x.s.ContainerSecurityContext, sc)
}

// overlayFields has the field indexes of each type that a setting overlays, by JSON name.
var overlayFields = map[reflect.Type]map[string]int{
	reflect.TypeFor[corev1.PodSpec]():            jsonFields(reflect.TypeFor[corev1.PodSpec]()),
	reflect.TypeFor[corev1.Container]():          jsonFields(reflect.TypeFor[corev1.Container]()),
	reflect.TypeFor[corev1.PodSecurityContext](): jsonFields(reflect.TypeFor[corev1.PodSecurityContext]()),
	reflect.TypeFor[corev1.SecurityContext]():    jsonFields(reflect.TypeFor[corev1.SecurityContext]()),
}

// putFields replaces the fields that the overlay names; an enforced key that it doesn't name becomes empty.
func putFields[T any](into *T, from *overlay[T], sc scope) {
	keys := sc.keys
	if sc.whole {
		keys = from.Keys
	}
	if len(keys) == 0 {
		return
	}
	fields := overlayFields[reflect.TypeFor[T]()]
	dst, src := reflect.ValueOf(into).Elem(), reflect.ValueOf(&from.Value).Elem()
	for _, key := range keys {
		if at, ok := fields[key]; ok {
			dst.Field(at).Set(src.Field(at))
		}
	}
}

func putPullPolicy(x *server, pod *corev1.Pod, _ scope) {
	if x.s.ImagePullPolicy == nil {
		notebook(pod).ImagePullPolicy = ""
		return
	}
	notebook(pod).ImagePullPolicy = *x.s.ImagePullPolicy
}

func putPort(x *server, pod *corev1.Pod, _ scope) {
	var ports []corev1.ContainerPort
	if x.s.Port != nil {
		ports = []corev1.ContainerPort{{Name: notebookPort, ContainerPort: *x.s.Port}}
	}
	nb := notebook(pod)
	nb.Ports = putItems(nb.Ports, ports, scope{keys: []string{notebookPort}}, func(p *corev1.ContainerPort) string { return p.Name })
}

// putArgs: without a command, arguments are dropped, as upstream: the image's own command doesn't expect them. The
// container's command stays the image's: one that extraContainerConfig set would make of an enforced cmd mere arguments.
func putArgs(x *server, pod *corev1.Pod, _ scope) {
	nb := notebook(pod)
	nb.Command, nb.Args = nil, nil
	if len(x.s.Cmd) > 0 {
		nb.Args = slices.Concat(x.s.Cmd, x.s.Args)
	}
}

// putVolumeMounts: /home and /home/ are one place, and of two mounts there the one that policy enforces could lie below.
func putVolumeMounts(x *server, pod *corev1.Pod, sc scope) {
	nb := notebook(pod)
	nb.VolumeMounts = putItems(nb.VolumeMounts, x.s.VolumeMounts, sc, mountPath)
	if sc.whole {
		x.mountCertificates(pod)
	}
}

func mountPath(m *corev1.VolumeMount) string { return cleanPath(m.MountPath) }

// cleanPath is how a mount path compares: /home/ is /home. What isn't there stays "".
func cleanPath(at string) string {
	if at == "" {
		return ""
	}
	return path.Clean(at)
}

func putVolumes(x *server, pod *corev1.Pod, sc scope) {
	pod.Spec.Volumes = putItems(pod.Spec.Volumes, x.s.Volumes, sc, volumeName)
	if sc.whole {
		x.addCertificateVolume(pod)
	}
}

func volumeName(v *corev1.Volume) string { return v.Name }

// putInitContainers: beside a hub's, those that policy adds come first, so that what they set up holds for the hub's too.
func putInitContainers(x *server, pod *corev1.Pod, sc scope) {
	had := pod.Spec.InitContainers
	put := putItems(had, x.s.InitContainers, sc, func(c *corev1.Container) string { return c.Name })
	if x.keeping() && !sc.whole {
		added := slices.IndexFunc(put, func(c corev1.Container) bool {
			return !slices.ContainsFunc(had, func(h corev1.Container) bool { return h.Name == c.Name })
		})
		if added >= 0 {
			put = slices.Concat(put[added:], put[:added])
		}
	}
	pod.Spec.InitContainers = put
}

// putExtraContainers leaves the notebook where it is.
func putExtraContainers(x *server, pod *corev1.Pod, sc scope) {
	if sc.whole {
		pod.Spec.Containers = append([]corev1.Container{*notebook(pod)}, x.s.ExtraContainers...)
		return
	}
	pod.Spec.Containers = putItems(pod.Spec.Containers, x.s.ExtraContainers, sc, func(c *corev1.Container) string { return c.Name })
}

func putTolerations(x *server, pod *corev1.Pod, sc scope) {
	pod.Spec.Tolerations = putTerms(pod.Spec.Tolerations, x.s.Tolerations, sc)
}

func putPriorityClass(x *server, pod *corev1.Pod, _ scope) {
	pod.Spec.PriorityClassName = deref(x.s.PriorityClassName)
}

// putServiceAccount: in a kept pod, which has been through admission, the default account has its name.
func putServiceAccount(x *server, pod *corev1.Pod, sc scope) {
	if name := deref(x.s.ServiceAccount); !x.keeping() || !sameAccount(name, pod.Spec.ServiceAccountName) {
		pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = name, ""
	}
	if !x.keeping() {
		putAutomount(x, pod, sc)
	}
}

// putAutomount: without an account and without a word on it, no token is mounted, as upstream. In a kept pod, saying nothing is
// the hub's own word.
func putAutomount(x *server, pod *corev1.Pod, _ scope) {
	pod.Spec.AutomountServiceAccountToken = x.s.AutomountServiceAccountToken
	if x.s.AutomountServiceAccountToken == nil && x.s.ServiceAccount == nil && !x.keeping() {
		no := false
		pod.Spec.AutomountServiceAccountToken = &no
	}
}

func putPrivileged(x *server, pod *corev1.Pod, _ scope) {
	sc := containerContext(notebook(pod))
	sc.Privileged = nil
	if isTrue(x.s.Privileged) {
		sc.Privileged = x.s.Privileged
	}
}

func putAllowPrivilegeEscalation(x *server, pod *corev1.Pod, _ scope) {
	containerContext(notebook(pod)).AllowPrivilegeEscalation = x.s.AllowPrivilegeEscalation
}

func putExtraContainerConfig(x *server, pod *corev1.Pod, sc scope) {
	nb := notebook(pod)
	putFields(nb, &x.s.ExtraContainerConfig, sc)
	ownResources(nb)
}

// ownResources: lists that came in with a whole container or its resources are shared with the plan, and later steps write to them.
func ownResources(c *corev1.Container) {
	c.Resources.Limits, c.Resources.Requests = maps.Clone(c.Resources.Limits), maps.Clone(c.Resources.Requests)
}

func putExtraPodConfig(x *server, pod *corev1.Pod, sc scope) {
	putFields(&pod.Spec, &x.s.ExtraPodConfig, sc)
	// Containers that came in here are shared with the plan; later steps write to them.
	pod.Spec.Containers = slices.Clone(pod.Spec.Containers)
	pod.Spec.InitContainers = slices.Clone(pod.Spec.InitContainers)
	if nb := notebook(pod); nb != nil {
		ownResources(nb)
	}
}

// requests and limits give the resource list of the notebook to write to.
func requests(c *corev1.Container) *corev1.ResourceList { return &c.Resources.Requests }
func limits(c *corev1.Container) *corev1.ResourceList   { return &c.Resources.Limits }

type resourceList func(*corev1.Container) *corev1.ResourceList

// putQuantity: zero means no request or limit, as upstream.
func putQuantity(list resourceList, name corev1.ResourceName, of func(*settings) *resource.Quantity) func(*server, *corev1.Pod, scope) {
	return func(x *server, pod *corev1.Pod, _ scope) {
		l := list(notebook(pod))
		q := of(x.s)
		if q == nil || q.IsZero() {
			delete(*l, name)
			return
		}
		if *l == nil {
			*l = corev1.ResourceList{}
		}
		(*l)[name] = *q
	}
}

func putExtraResources(list resourceList, of func(*settings) map[string]resource.Quantity) func(*server, *corev1.Pod, scope) {
	return func(x *server, pod *corev1.Pod, sc scope) {
		l := list(notebook(pod))
		from := of(x.s)
		keys := sc.keys
		if sc.whole {
			keys = slices.Sorted(maps.Keys(from))
		}
		for _, k := range keys {
			if q, has := from[k]; !has {
				delete(*l, corev1.ResourceName(k))
			} else {
				if *l == nil {
					*l = corev1.ResourceList{}
				}
				(*l)[corev1.ResourceName(k)] = q
			}
		}
	}
}
