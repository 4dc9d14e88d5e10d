package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// flaw is something in a fitted pod or its claim that the API server wouldn't take.
type flaw struct {
	// path is the place in the pod.
	path string
	// from are the settings that it may come from, likeliest first.
	from []source
	// message says what would be right.
	message string
}

// flawsOf are what the API server would refuse in a pod, in its home claim, which may be nil, and in its other claims. Kubernetes' own validation is in no library
// that may be used, so these are its rules for what policies write wrong; a test holds them against an API server.
func flawsOf(pod *corev1.Pod, home *corev1.PersistentVolumeClaim, others []*corev1.PersistentVolumeClaim) []flaw {
	f := &flaws{pod: pod}
	for _, rule := range podRules {
		rule(f)
	}
	f.containers(func(at spot, c *corev1.Container) {
		for _, rule := range containerRules {
			rule(f, at, c)
		}
	})
	if home != nil {
		f.home(home)
	}
	for _, claim := range others {
		f.otherClaim(claim)
	}
	return f.found
}

// podRules are about the pod as a whole.
var podRules = []func(*flaws){
	(*flaws).labels, (*flaws).containerNames, (*flaws).volumes, (*flaws).nodeSelector, (*flaws).tolerations, (*flaws).affinity, (*flaws).names,
}

// containerRules are about each container.
var containerRules = []func(*flaws, spot, *corev1.Container){
	(*flaws).image, (*flaws).variables, (*flaws).mounts, (*flaws).resources, (*flaws).ports, (*flaws).securityContext, (*flaws).handlers,
}

type flaws struct {
	pod   *corev1.Pod
	found []flaw
}

func (f *flaws) addf(at string, from []source, format string, args ...any) {
	f.found = append(f.found, flaw{path: at, from: from, message: fmt.Sprintf(format, args...)})
}

// spot is where a container stands.
type spot struct {
	path string
	// list is the field that holds it, setting the setting that gives it; at is its number there.
	list, setting string
	name          string
	at            int
}

func (f *flaws) containers(visit func(spot, *corev1.Container)) {
	for i := range f.pod.Spec.InitContainers {
		c := &f.pod.Spec.InitContainers[i]
		visit(spot{"spec.initContainers[" + c.Name + "]", "initContainers", "initContainers", c.Name, i}, c)
	}
	for i := range f.pod.Spec.Containers {
		c := &f.pod.Spec.Containers[i]
		visit(spot{"spec.containers[" + c.Name + "]", "containers", "extraContainers", c.Name, i}, c)
	}
}

// from are the settings that a field of this container comes from; own are those that it comes from in the notebook alone.
func (p spot) from(field, rest string, own ...source) []source {
	whole := source{"extraPodConfig", p.list, fmt.Sprintf("[%d].%s%s", p.at, field, rest)}
	if p.list == "containers" && p.name == NotebookContainer {
		return append(append([]source{{"extraContainerConfig", field, rest}}, own...), whole)
	}
	return []source{whole, {p.setting, p.name, "." + field + rest}}
}

func (f *flaws) labels() {
	for _, key := range slices.Sorted(maps.Keys(f.pod.Labels)) {
		from := []source{{"commonLabels", key, ""}, {"extraLabels", key, ""}}
		if key == labelComponent || key == labelComponentNew {
			from = []source{{"componentLabel", "", ""}}
		}
		f.label("metadata.labels["+key+"]", from, key, f.pod.Labels[key])
	}
	for _, key := range slices.Sorted(maps.Keys(f.pod.Annotations)) {
		if problems := validation.IsQualifiedName(strings.ToLower(key)); len(problems) > 0 {
			f.addf("metadata.annotations["+key+"]", []source{{"extraAnnotations", key, ""}}, "%q is no annotation's name: %s", key, inShort(problems))
		}
	}
}

func (f *flaws) label(at string, from []source, key, value string) {
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		f.addf(at, from, "%q is no label's name: %s", key, inShort(problems))
	}
	if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
		f.addf(at, from, "%q can't be the value of a label; {username} always can, and an annotation takes any text: %s", value, inShort(problems))
	}
}

// inShort is a rule of Kubernetes' names without its regular expression.
func inShort(problems []string) string {
	short, _, _ := strings.Cut(problems[0], " (e.g. ")
	return short
}

func (f *flaws) containerNames() {
	first := map[string]string{}
	f.containers(func(at spot, c *corev1.Container) {
		from := at.from("name", "")
		switch before, twice := first[c.Name]; {
		case c.Name == "":
			f.addf(at.path, from, "a container needs a name")
		case twice:
			f.addf(at.path, from, "two containers are called %s, this one and %s: rename one", c.Name, before)
		case len(validation.IsDNS1123Label(c.Name)) > 0:
			f.addf(at.path, from, "%q is no container's name: %s", c.Name, inShort(validation.IsDNS1123Label(c.Name)))
		}
		first[c.Name] = at.path
	})
}

func (f *flaws) image(at spot, c *corev1.Container) {
	from := at.from("image", "", source{"image", "", ""})
	switch {
	case c.Image == "":
		f.addf(at.path+".image", from, "the container has no image: name one")
	case strings.TrimSpace(c.Image) != c.Image:
		f.addf(at.path+".image", from, "image %q begins or ends with a space: take it out", c.Image)
	}
	switch c.ImagePullPolicy {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		f.addf(at.path+".imagePullPolicy", at.from("imagePullPolicy", "", source{"imagePullPolicy", "", ""}),
			"%q is no pull policy: write Always, IfNotPresent or Never", c.ImagePullPolicy)
	}
}

func (f *flaws) variables(at spot, c *corev1.Container) {
	for i := range c.Env {
		e := &c.Env[i]
		where := fmt.Sprintf("%s.env[%s]", at.path, e.Name)
		from := at.from("env", fmt.Sprintf("[%d]", i), source{"environment", e.Name, ""})
		if problems := validation.IsRelaxedEnvVarName(e.Name); len(problems) > 0 {
			f.addf(where, from, "%q is no variable's name: %s", e.Name, inShort(problems))
		}
		if e.ValueFrom == nil {
			continue
		}
		if e.Value != "" {
			f.addf(where, from, "variable %s has value and valueFrom: take one of them out", e.Name)
		}
		f.variableSource(where, from, e)
	}
}

func (f *flaws) variableSource(where string, from []source, e *corev1.EnvVar) {
	v, sources := e.ValueFrom, 0
	key := func(kind, name, key string) {
		sources++
		if name == "" || key == "" {
			f.addf(where, from, "variable %s is read from a %s, which needs a name and a key", e.Name, kind)
		}
	}
	if v.SecretKeyRef != nil {
		key("Secret", v.SecretKeyRef.Name, v.SecretKeyRef.Key)
	}
	if v.ConfigMapKeyRef != nil {
		key("ConfigMap", v.ConfigMapKeyRef.Name, v.ConfigMapKeyRef.Key)
	}
	for _, set := range []bool{v.FieldRef != nil, v.ResourceFieldRef != nil, v.FileKeyRef != nil} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		f.addf(where, from, "variable %s has a valueFrom with %d sources: name one, like secretKeyRef", e.Name, sources)
	}
}

// notebookResource are the settings that a resource of the notebook comes from.
func notebookResource(list string, name corev1.ResourceName) source {
	setting := map[string]string{
		"limits memory": "memLimit", "limits cpu": "cpuLimit", "requests memory": "memGuarantee", "requests cpu": "cpuGuarantee",
	}[list+" "+string(name)]
	switch {
	case setting != "":
		return source{setting, "", ""}
	case list == "limits":
		return source{"extraResourceLimits", string(name), ""}
	}
	return source{"extraResourceGuarantees", string(name), ""}
}

func (f *flaws) resources(at spot, c *corev1.Container) {
	from := func(list string, name corev1.ResourceName) []source {
		return at.from("resources", "."+list+"["+string(name)+"]", notebookResource(list, name))
	}
	for _, l := range []struct {
		list    string
		amounts corev1.ResourceList
	}{{"limits", c.Resources.Limits}, {"requests", c.Resources.Requests}} {
		for _, name := range sortedResources(l.amounts) {
			q := l.amounts[name]
			f.amount(fmt.Sprintf("%s.resources.%s[%s]", at.path, l.list, name), from(l.list, name), name, &q)
		}
	}
	for _, name := range sortedResources(c.Resources.Requests) {
		request := c.Resources.Requests[name]
		limit, limited := c.Resources.Limits[name]
		both := slices.Concat(from("requests", name), from("limits", name))
		where := fmt.Sprintf("%s.resources.requests[%s]", at.path, name)
		switch {
		case limited && request.Cmp(limit) > 0:
			f.addf(where, both, "%s of %s are guaranteed and %s is the limit: guarantee less, or raise the limit", request.String(), name, limit.String())
		case isExtended(name) && !limited:
			f.addf(where, both, "%s is guaranteed without a limit, and of such a resource both must be the same: set the limit to %s too", name, request.String())
		case isExtended(name) && request.Cmp(limit) != 0:
			f.addf(where, both, "%s of %s are guaranteed and %s is the limit, and of such a resource both must be the same: leave the guarantee out", request.String(), name, limit.String())
		}
	}
}

func (f *flaws) amount(where string, from []source, name corev1.ResourceName, q *resource.Quantity) {
	standard := slices.Contains([]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}, name) ||
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
	switch {
	case !standard && !isExtended(name):
		f.addf(where, from, "%s is no resource of a container: write cpu, memory, ephemeral-storage, or a device with its maker's domain like nvidia.com/gpu", name)
	case len(validation.IsQualifiedName(string(name))) > 0:
		f.addf(where, from, "%q is no resource's name: %s", name, inShort(validation.IsQualifiedName(string(name))))
	case q.Sign() < 0:
		f.addf(where, from, "%s of %s is less than nothing: write an amount of 0 or more", q.String(), name)
	case isExtended(name) && q.MilliValue()%1000 != 0:
		f.addf(where, from, "%s of %s: of such a resource there are whole pieces only", q.String(), name)
	}
}

// isExtended: a device or the like, of which there are whole pieces that nobody shares.
func isExtended(name corev1.ResourceName) bool {
	domain, _, has := strings.Cut(string(name), "/")
	return has && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}

func sortedResources(list corev1.ResourceList) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}

func (f *flaws) ports(at spot, c *corev1.Container) {
	names := map[string]bool{}
	for i := range c.Ports {
		p := &c.Ports[i]
		where := fmt.Sprintf("%s.ports[%d]", at.path, i)
		from := at.from("ports", fmt.Sprintf("[%d]", i), source{"port", "", ""})
		if problems := validation.IsValidPortNum(int(p.ContainerPort)); len(problems) > 0 {
			f.addf(where, from, "%d is no port: it %s", p.ContainerPort, inShort(problems))
		}
		if p.Name == "" {
			continue
		}
		if problems := validation.IsValidPortName(p.Name); len(problems) > 0 {
			f.addf(where, from, "%q is no port's name: it %s", p.Name, inShort(problems))
		}
		if names[p.Name] {
			f.addf(where, from, "two ports are called %s: rename one", p.Name)
		}
		names[p.Name] = true
	}
}

func (f *flaws) securityContext(at spot, c *corev1.Container) {
	sc := c.SecurityContext
	if sc == nil {
		return
	}
	from := func(field string) []source {
		own := []source{{"containerSecurityContext", field, ""}}
		if setting := map[string]string{"runAsUser": "uid", "runAsGroup": "gid", "privileged": "privileged", "allowPrivilegeEscalation": "allowPrivilegeEscalation"}[field]; setting != "" {
			own = append(own, source{setting, "", ""})
		}
		return at.from("securityContext", "."+field, own...)
	}
	for _, n := range []struct {
		field string
		id    *int64
	}{{"runAsUser", sc.RunAsUser}, {"runAsGroup", sc.RunAsGroup}} {
		if n.id != nil && len(validation.IsValidUserID(*n.id)) > 0 {
			f.addf(at.path+".securityContext."+n.field, from(n.field), "%d is no number of a user or group: write 0 to 2147483647", *n.id)
		}
	}
	if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
		switch {
		case isTrue(sc.Privileged):
			f.addf(at.path+".securityContext", slices.Concat(from("privileged"), from("allowPrivilegeEscalation")),
				"a container that is privileged can escalate its privileges: set allowPrivilegeEscalation to true as well, or privileged to false")
		case sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN"):
			f.addf(at.path+".securityContext", from("capabilities"),
				"a container with CAP_SYS_ADMIN can escalate its privileges: set allowPrivilegeEscalation to true as well, or take the capability out")
		}
	}
}

func (f *flaws) handlers(at spot, c *corev1.Container) {
	if l := c.Lifecycle; l != nil {
		for i, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if name := []string{"postStart", "preStop"}[i]; h != nil {
				set := []bool{h.Exec != nil, h.HTTPGet != nil, h.TCPSocket != nil, h.Sleep != nil}
				f.handler(at.path+".lifecycle."+name, at.from("lifecycle", "."+name, source{"lifecycleHooks", "", "." + name}), set, h.Exec)
			}
		}
	}
	for i, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if name := []string{"livenessProbe", "readinessProbe", "startupProbe"}[i]; p != nil {
			f.handler(at.path+"."+name, at.from(name, ""), []bool{p.Exec != nil, p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil}, p.Exec)
		}
	}
}

func (f *flaws) handler(where string, from []source, set []bool, exec *corev1.ExecAction) {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	switch {
	case n != 1:
		f.addf(where, from, "says %d things to do, and must say one: exec, httpGet or tcpSocket", n)
	case exec != nil && len(exec.Command) == 0:
		f.addf(where, from, "exec needs a command")
	}
}

// names are those of other objects, and words of which there are few.
func (f *flaws) names() {
	s := &f.pod.Spec
	for _, n := range []struct{ field, setting, name, what string }{
		{"serviceAccountName", "serviceAccount", s.ServiceAccountName, "service account"},
		{"priorityClassName", "priorityClassName", s.PriorityClassName, "priority class"},
	} {
		if problems := validation.IsDNS1123Subdomain(n.name); n.name != "" && len(problems) > 0 {
			f.addf("spec."+n.field, []source{{"extraPodConfig", n.field, ""}, {n.setting, "", ""}}, "%q is no name of a %s: %s", n.name, n.what, inShort(problems))
		}
	}
	for _, w := range []struct {
		field, word string
		words       []string
	}{
		{"restartPolicy", string(s.RestartPolicy), []string{"", "Always", "OnFailure", "Never"}},
		{"dnsPolicy", string(s.DNSPolicy), []string{"", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}},
	} {
		if !slices.Contains(w.words, w.word) {
			f.addf("spec."+w.field, []source{{"extraPodConfig", w.field, ""}}, "%q isn't known: write one of %s", w.word, strings.Join(w.words[1:], ", "))
		}
	}
	for i, name := range []string{s.Hostname, s.Subdomain} {
		field := []string{"hostname", "subdomain"}[i]
		if problems := validation.IsDNS1123Label(name); name != "" && len(problems) > 0 {
			f.addf("spec."+field, []source{{"extraPodConfig", field, ""}}, "%q is no %s: %s", name, field, inShort(problems))
		}
	}
}
