package policy

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// putEnvironment gives the notebook its variables: the hub's, as far as policy lets them pass, then what the cluster
// knows itself, then the policy's own, which always win.
func putEnvironment(x *server, pod *corev1.Pod, sc scope) {
	nb := notebook(pod)
	if sc.whole && x.keeping() { // of the hub's, dropVariables has decided
		sc = scope{keys: slices.Sorted(maps.Keys(x.s.Environment))}
	}
	if !sc.whole {
		enforced, names := environment{}, make([]string, 0, len(sc.keys))
		for _, key := range sc.keys {
			if e, has := x.s.Environment[key]; has {
				enforced[key] = e
			} else {
				names = append(names, key)
			}
		}
		ordered := enforced.ordered()
		for i := range ordered {
			names = append(names, ordered[i].Name)
		}
		nb.Env = putVariables(nb.Env, ordered, names)
		return
	}
	env := make(environment, len(x.s.Environment)+len(x.in.Identity.EnvKeys)+len(x.in.Identity.Env)+computedVariableCount)
	x.hubVariables(env)
	x.computedVariables(env)
	env.set("JUPYTER_IMAGE", deref(x.s.Image))
	env.set("JUPYTER_IMAGE_SPEC", deref(x.s.Image))
	env.overlay(x.s.Environment)
	x.certificateVariables(env)
	nb.Env = env.ordered()
}

// putVariables puts the enforced variables on a list, and takes away those that are named and not among them.
func putVariables(into, enforced []corev1.EnvVar, names []string) []corev1.EnvVar {
	out := putItems(into, enforced, scope{keys: names}, variableName)
	if !refersAhead(out, names) {
		return out
	}
	env := make(environment, len(out))
	for _, e := range out {
		env[e.Name] = e
	}
	return env.ordered()
}

// refersAhead says whether one of the named variables refers to one that stands after it: the kubelet would leave the
// reference as it is written.
func refersAhead(list []corev1.EnvVar, names []string) bool {
	later := map[string]bool{}
	for _, e := range slices.Backward(list) {
		if slices.Contains(names, e.Name) && slices.ContainsFunc(references(e), func(name string) bool { return later[name] }) {
			return true
		}
		later[e.Name] = true
	}
	return false
}

// variablesOf has the settings that land in variables, which an environment may name too.
var variablesOf = map[string][]string{
	"ip":                {serviceURLVariable},
	"port":              {serviceURLVariable},
	"defaultUrl":        {"JUPYTERHUB_DEFAULT_URL"},
	"notebookDir":       {"JUPYTERHUB_ROOT_DIR"},
	"debug":             {"JUPYTERHUB_DEBUG"},
	"disableUserConfig": {"JUPYTERHUB_DISABLE_USER_CONFIG"},
	"internalSsl":       certificateVariableNames,
	"secretMountPath":   certificateVariableNames,
}

// assertVariables puts the variables of a layer's settings on the notebook once more: by its environment a weaker layer
// could have said otherwise.
func (x *server) assertVariables(pod *corev1.Pod, a assertion) {
	var names []string
	for setting, variables := range variablesOf {
		if _, enforced := a[setting]; enforced {
			names = append(names, variables...)
		}
	}
	if len(names) == 0 {
		return
	}
	env := environment{}
	x.hubVariables(env)
	if x.keeping() {
		x.keptVariables(notebook(pod), env)
	}
	x.computedVariables(env)
	x.certificateVariables(env)
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool {
		_, given := env[name]
		return name == serviceURLVariable && !given // only the hub knows the rest of it
	})
	var enforced []corev1.EnvVar
	for _, name := range names {
		if e, has := env[name]; has {
			enforced = append(enforced, e)
		}
	}
	nb := notebook(pod)
	nb.Env = putVariables(nb.Env, enforced, names)
}

func variableName(v *corev1.EnvVar) string { return v.Name }

// computedVariableCount is about how many variables come from neither hub nor policy.
const computedVariableCount = 12

// environment are the variables in the making, by the key that orders them; the name in the entry may be another.
type environment map[string]corev1.EnvVar

func (e environment) set(name, value string) { e.put(corev1.EnvVar{Name: name, Value: value}) }

// put replaces a variable of the same name.
func (e environment) put(v corev1.EnvVar) { e[v.Name] = v }

// overlay puts policy's own variables over the others. Those of the same names go first, all of them: the key of one may be the
// name of another, which isn't to go with them.
func (e environment) overlay(own map[string]corev1.EnvVar) {
	for _, v := range own {
		delete(e, v.Name)
	}
	maps.Copy(e, own)
}

// hubVariables come in plain text offline, else as references into the Secret that the launcher makes.
func (x *server) hubVariables(env environment) {
	id := &x.in.Identity
	for name, value := range id.Env {
		if x.plan.letsThrough(name) {
			env.set(name, value)
		}
	}
	for _, name := range id.EnvKeys {
		if !x.plan.letsThrough(name) || slices.Contains(CertificateFiles(), name) {
			continue
		}
		env.put(corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: id.EnvSecret}, Key: name,
		}}})
	}
}

// letsThrough: every policy that names patterns must have one that fits; none passes where none names any.
func (p *plan) letsThrough(name string) bool {
	for _, patterns := range p.hubEnv {
		if !matchesAny(patterns, name) {
			return false
		}
	}
	return len(p.hubEnv) > 0
}

// computedVariables are those that JupyterHub's Spawner derives from its settings.
func (x *server) computedVariables(env environment) {
	s := x.s
	memory := func(name string, q *resource.Quantity) {
		if q != nil && !q.IsZero() {
			env.set(name, strconv.FormatInt(q.Value(), 10))
		}
	}
	cpu := func(name string, q *resource.Quantity) {
		if q != nil && !q.IsZero() {
			env.set(name, pythonFloat(nearestFloat(q)))
		}
	}
	memory("MEM_LIMIT", s.MemLimit)
	memory("MEM_GUARANTEE", s.MemGuarantee)
	cpu("CPU_LIMIT", s.CPULimit)
	cpu("CPU_GUARANTEE", s.CPUGuarantee)
	for _, v := range []struct {
		name string
		text *string
	}{{"JUPYTERHUB_DEFAULT_URL", s.DefaultURL}, {"JUPYTERHUB_ROOT_DIR", s.NotebookDir}} {
		if deref(v.text) != "" {
			env.set(v.name, x.formatSpawner(*v.text, env))
		}
	}
	x.serviceURL(env)
	if isTrue(s.Debug) {
		env.set("JUPYTERHUB_DEBUG", "1")
	}
	if isTrue(s.DisableUserConfig) {
		env.set("JUPYTERHUB_DISABLE_USER_CONFIG", "1")
	}
}

const (
	serviceURLVariable    = "JUPYTERHUB_SERVICE_URL"
	servicePrefixVariable = "JUPYTERHUB_SERVICE_PREFIX"
)

// serviceURL says where the server listens. The hub passes it too, but policy decides on address and port.
func (x *server) serviceURL(env environment) {
	given, has := env[serviceURLVariable]
	if !has || x.s.Port == nil {
		return
	}
	if x.keeping() {
		env.put(x.moved(given))
		return
	}
	env.set(serviceURLVariable, x.origin(deref(x.s.IP))+x.servicePrefix(env))
}

// origin is scheme://host:port of the server at a host; it needs a port.
func (x *server) origin(host string) string {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	scheme := "http"
	if isTrue(x.s.InternalSSL) { // also where no certificates are mounted, as upstream
		scheme = "https"
	}
	return scheme + "://" + host + ":" + strconv.Itoa(int(*x.s.Port))
}

// servicePrefix is the server's path, "/" where the hub doesn't say: as text where it is at hand, else for the kubelet to
// fill in.
func (x *server) servicePrefix(env environment) string {
	v, given := env[servicePrefixVariable]
	switch {
	case !given:
		return "/"
	case v.ValueFrom != nil:
		return "$(" + servicePrefixVariable + ")"
	}
	return v.Value
}

// formatSpawner expands defaultUrl and notebookDir, which JupyterHub's own Spawner formats and not KubeSpawner:
// {username} is the raw name there, and {base_url} the server's path. The path is known to the hub alone, so it is
// taken from the hub's variable where that is at hand, else left for the kubelet to fill in.
func (x *server) formatSpawner(text string, env environment) string {
	t, err := parseSpawnerFormat(text)
	if err != nil {
		return text // refused when the policy was compiled
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch p.placeholder {
		case "username":
			b.WriteString(x.in.Identity.User)
		case "base_url":
			b.WriteString(x.servicePrefix(env))
		default:
			b.WriteString(p.literal)
		}
	}
	return b.String()
}

func parseSpawnerFormat(text string) (*template, error) {
	return parseTemplate(strings.ReplaceAll(text, "%U", "{username}"), []string{"base_url", "username"})
}

// nearestFloat is what Python reads the number as; Quantity's own approximation is off by a digit for some.
func nearestFloat(q *resource.Quantity) float64 {
	const bits = 64
	own := q.DeepCopy() // AsDec changes it
	f, err := strconv.ParseFloat(own.AsDec().String(), bits)
	if err != nil {
		return q.AsApproximateFloat64()
	}
	return f
}

// pythonFloat writes a number as Python's repr does, which is what JupyterHub puts into CPU_LIMIT.
func pythonFloat(f float64) string {
	const bits = 64
	e := strconv.FormatFloat(f, 'e', -1, bits)
	_, exponent, _ := strings.Cut(e, "e")
	n, err := strconv.Atoi(exponent)
	if err != nil || n < -4 || n >= 16 {
		return e
	}
	s := strconv.FormatFloat(f, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// ordered sorts the variables as KubeSpawner does: each after those that it refers to as $(NAME), and by key
// where that leaves a choice; what refers to a variable that isn't there comes last.
func (e environment) ordered() []corev1.EnvVar {
	keys := slices.Sorted(maps.Keys(e))
	needs := map[string][]string{}
	for _, k := range keys {
		if refs := references(e[k]); len(refs) > 0 {
			needs[k] = refs
		}
	}
	out := make([]corev1.EnvVar, 0, len(keys))
	done := map[string]bool{}
	for len(keys) > 0 {
		var rest []string
		first := len(out)
		for _, k := range keys {
			if slices.ContainsFunc(needs[k], func(name string) bool { return !done[name] }) {
				rest = append(rest, k)
				continue
			}
			out = append(out, e[k])
		}
		if len(out) == first {
			for _, k := range rest {
				out = append(out, e[k])
			}
			break
		}
		for _, v := range out[first:] {
			done[v.Name] = true
		}
		keys = rest
	}
	return out
}

// references are the names of other variables in $(NAME). Escaped ones, $$(NAME), count too: upstream's order is
// kept, and it does no harm.
func references(v corev1.EnvVar) []string {
	var names []string
	rest := v.Value
	for {
		at := strings.Index(rest, "$(")
		if at < 0 {
			return names
		}
		rest = rest[at+len("$("):]
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return names
		}
		if name := rest[:end]; name != "" && name != v.Name {
			names = append(names, name)
		}
		if end > 0 {
			rest = rest[end:]
		}
	}
}
