package policy

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// follower is a variable that follows settings. JupyterHub's Spawner computes it from its own, so in a kept pod it has to
// be put right where policy sets them.
type follower struct {
	name, setting string
	// repeats: it says once more what stands in the container.
	repeats bool
}

// followers are all but JUPYTERHUB_SERVICE_URL, of which policy has only the address.
var followers = []follower{
	{"CPU_GUARANTEE", "cpuGuarantee", true},
	{"CPU_LIMIT", "cpuLimit", true},
	{"JUPYTERHUB_DEBUG", "debug", false},
	{"JUPYTERHUB_DEFAULT_URL", "defaultUrl", false},
	{"JUPYTERHUB_DISABLE_USER_CONFIG", "disableUserConfig", false},
	{"JUPYTERHUB_ROOT_DIR", "notebookDir", false},
	{"JUPYTER_IMAGE", "image", true},
	{"JUPYTER_IMAGE_SPEC", "image", true},
	{"MEM_GUARANTEE", "memGuarantee", true},
	{"MEM_LIMIT", "memLimit", true},
}

// dropVariables takes away what the notebook gets from its hub and hubEnv doesn't let through, and gives the paths; never a
// value. Where no policy names hubEnv, all stay, unless the whole environment is enforced. What policy sets itself is replaced in
// its place.
func (x *server) dropVariables(pod *corev1.Pod) []string {
	whole := slices.ContainsFunc(x.plan.asserted[:], func(a assertion) bool { return a["environment"].whole })
	if len(x.plan.hubEnv) == 0 && !whole {
		return nil
	}
	var dropped []string
	nb := notebook(pod)
	kept := nb.Env[:0]
	for _, v := range nb.Env {
		own, set := x.ownVariable(v.Name)
		switch {
		case x.plan.letsThrough(v.Name):
		case set:
			v = own
		case x.follows(v.Name): // followSettings decides
		default:
			dropped = append(dropped, variablePath(v.Name))
			continue
		}
		kept = append(kept, v)
	}
	nb.Env = kept
	nb.EnvFrom = slices.DeleteFunc(nb.EnvFrom, func(e corev1.EnvFromSource) bool {
		// What comes from there is unknown here, but for how it begins.
		drop := !x.plan.letsThrough(e.Prefix + "*")
		if drop {
			dropped = append(dropped, "spec.containers["+NotebookContainer+"].envFrom["+sourceOf(&e)+"]")
		}
		return drop
	})
	return dropped
}

func variablePath(name string) string {
	return "spec.containers[" + NotebookContainer + "].env[" + name + "]"
}

func sourceOf(e *corev1.EnvFromSource) string {
	switch {
	case e.SecretRef != nil:
		return e.SecretRef.Name
	case e.ConfigMapRef != nil:
		return e.ConfigMapRef.Name
	}
	return ""
}

// ownVariable is what policy's own environment says of a variable.
func (x *server) ownVariable(name string) (corev1.EnvVar, bool) {
	if v, has := x.s.Environment[name]; has && v.Name == name {
		return v, true
	}
	for _, v := range x.s.Environment {
		if v.Name == name {
			return v, true
		}
	}
	return corev1.EnvVar{}, false
}

func (x *server) follows(name string) bool {
	_, own := x.ownVariable(name)
	return !own && slices.ContainsFunc(followers, func(f follower) bool { return f.name == name })
}

// passedVariables are those that the hub hands over beside the pod, as our launcher does, and the pod lacks.
func (x *server) passedVariables(has []corev1.EnvVar) []corev1.EnvVar {
	env := environment{}
	x.hubVariables(env)
	for _, v := range has {
		delete(env, v.Name)
	}
	return env.ordered()
}

// fillFollowers adds those that follow what was filled, where the pod lacks them; before are the values without it.
func (x *server) fillFollowers(nb *corev1.Container, before environment) {
	values := x.followedValues(nb)
	for _, f := range followers {
		value, known := values[f.name]
		_, named := x.plan.filling[f.setting]
		filled := named && known && (!f.repeats || value.Value != before[f.name].Value)
		if filled && x.follows(f.name) && !slices.ContainsFunc(nb.Env, func(v corev1.EnvVar) bool { return v.Name == f.name }) {
			nb.Env = append(nb.Env, value)
		}
	}
}

// followSettings puts the variables right that follow what policy sets, and gives the paths of those that it takes away. The hub's
// stay where policy enforces nothing and changed nothing that they repeat.
func (x *server) followSettings(sent, pod *corev1.Pod) []string {
	nb := notebook(pod)
	before, values := x.followedValues(notebook(sent)), x.followedValues(nb)
	var dropped []string
	for _, f := range followers {
		if !x.follows(f.name) {
			continue
		}
		value, known := values[f.name]
		enforced := f.repeats && x.enforces(f.setting) // reassert has put the others
		changed := f.repeats && value.Value != before[f.name].Value
		wrong := enforced || changed || !x.mayPass(f.name)
		at := slices.IndexFunc(nb.Env, func(v corev1.EnvVar) bool { return v.Name == f.name })
		switch {
		case at < 0 && known && enforced:
			nb.Env = append(nb.Env, value)
		case at >= 0 && known && wrong:
			nb.Env = putItems(nb.Env, []corev1.EnvVar{value}, scope{keys: []string{f.name}}, variableName)
		case at >= 0 && !known && wrong:
			nb.Env = putItems(nb.Env, nil, scope{keys: []string{f.name}}, variableName)
			dropped = append(dropped, variablePath(f.name))
		}
	}
	return dropped
}

// mayPass: the hub may say it, also where no policy names hubEnv.
func (x *server) mayPass(name string) bool {
	return len(x.plan.hubEnv) == 0 || x.plan.letsThrough(name)
}

// enforces says whether any layer enforces a setting, or its absence.
func (x *server) enforces(setting string) bool {
	return slices.ContainsFunc(x.plan.asserted[:], func(a assertion) bool { _, has := a[setting]; return has })
}

// followedValues are what the followers must be: what repeats the container, from the container; the rest from policy.
func (x *server) followedValues(nb *corev1.Container) environment {
	own := *x.s
	quantity := func(list corev1.ResourceList, name corev1.ResourceName) *resource.Quantity {
		if q, has := list[name]; has {
			return &q
		}
		return nil
	}
	own.MemLimit, own.CPULimit = quantity(nb.Resources.Limits, corev1.ResourceMemory), quantity(nb.Resources.Limits, corev1.ResourceCPU)
	own.MemGuarantee, own.CPUGuarantee = quantity(nb.Resources.Requests, corev1.ResourceMemory), quantity(nb.Resources.Requests, corev1.ResourceCPU)
	env := environment{}
	x.keptVariables(nb, env)
	y := *x
	y.s = &own
	y.computedVariables(env)
	if nb.Image != "" {
		env.set("JUPYTER_IMAGE", nb.Image)
		env.set("JUPYTER_IMAGE_SPEC", nb.Image)
	}
	return env
}

// keptVariables adds what a kept pod says of where its server listens: others are made from it.
func (x *server) keptVariables(nb *corev1.Container, env environment) {
	for _, v := range nb.Env {
		if v.Name == servicePrefixVariable || v.Name == serviceURLVariable {
			env.put(v)
		}
	}
}

// moved gives the URL at which the hub tells the server to listen with the enforced address and port. All else is the hub's.
func (x *server) moved(v corev1.EnvVar) corev1.EnvVar {
	u, err := url.Parse(v.Value)
	if err != nil || u.Port() == "" {
		return v
	}
	host, port := u.Hostname(), u.Port()
	if x.enforces("ip") {
		host = strings.Trim(deref(x.s.IP), "[]")
	}
	if x.enforces("port") {
		port = strconv.Itoa(int(*x.s.Port))
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if at := host + ":" + port; at != u.Host {
		u.Host = at
		v.Value = u.String()
	}
	return v
}
