package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	psa "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// constrain holds the final pod against every policy's constraints and validations. They deny, all of them at once; they
// never change.
func (x *server) constrain(pod *corev1.Pod) []Denial {
	if denials := farIn(pod); denials != nil {
		return denials
	}
	var denials []Denial
	for _, p := range x.policies {
		c := p.spec.Constraints
		if c == nil {
			continue
		}
		v := violations{policy: &p.ref}
		v.resources(pod, c)
		v.images(pod, c.Image)
		v.podSecurity(pod, c.PodSecurity)
		denials = append(denials, v.denials...)
	}
	return append(denials, x.validate(pod)...)
}

// checkConstraints checks the constraints themselves.
func checkConstraints(c *v1alpha1.Constraints, path *field.Path) field.ErrorList {
	if c == nil {
		return nil
	}
	var errs field.ErrorList
	bound := func(b *v1alpha1.Bound, at *field.Path) {
		switch {
		case b != nil && b.Max == nil:
			errs = append(errs, field.Required(at.Child("max"), "the largest value allowed"))
		case b != nil && isFar(b.Max):
			errs = append(errs, field.Invalid(at.Child("max"), b.Max.String(), tooFar))
		}
	}
	bound(c.MemLimit, path.Child("memLimit"))
	bound(c.MemGuarantee, path.Child("memGuarantee"))
	bound(c.CPULimit, path.Child("cpuLimit"))
	bound(c.CPUGuarantee, path.Child("cpuGuarantee"))
	for _, name := range slices.Sorted(maps.Keys(c.ExtraResourceLimits)) {
		b := c.ExtraResourceLimits[name]
		bound(&b, path.Child("extraResourceLimits").Key(name))
	}
	if c.Image != nil && len(c.Image.Allow) == 0 {
		errs = append(errs, field.Required(path.Child("image", "allow"), "patterns of the images that may run"))
	}
	if c.PodSecurity != "" {
		if _, err := psa.ParseLevel(string(c.PodSecurity)); err != nil {
			errs = append(errs, field.NotSupported(path.Child("podSecurity"), c.PodSecurity, []string{"privileged", "baseline", "restricted"}))
		}
	}
	return errs
}

type violations struct {
	policy  *PolicyRef
	denials []Denial
}

func (v *violations) addf(field, format string, args ...any) {
	v.denials = append(v.denials, denyf(ConstraintViolated, v.policy, field, format, args...))
}

func (v *violations) resources(pod *corev1.Pod, c *v1alpha1.Constraints) {
	v.bound(pod, "memLimit", corev1.ResourceMemory, c.MemLimit, limitOf)
	v.bound(pod, "cpuLimit", corev1.ResourceCPU, c.CPULimit, limitOf)
	v.bound(pod, "memGuarantee", corev1.ResourceMemory, c.MemGuarantee, requestOf)
	v.bound(pod, "cpuGuarantee", corev1.ResourceCPU, c.CPUGuarantee, requestOf)
	for _, name := range slices.Sorted(maps.Keys(c.ExtraResourceLimits)) {
		b := c.ExtraResourceLimits[name]
		v.bound(pod, "extraResourceLimits["+name+"]", corev1.ResourceName(name), &b, limitOf)
	}
}

// amount is how a container states a resource: its limit, or its request.
type amount func(r *corev1.ResourceRequirements, name corev1.ResourceName) (resource.Quantity, bool)

func limitOf(r *corev1.ResourceRequirements, name corev1.ResourceName) (resource.Quantity, bool) {
	q, ok := r.Limits[name]
	return q, ok
}

// requestOf is the request, or the limit that the API server takes for one.
func requestOf(r *corev1.ResourceRequirements, name corev1.ResourceName) (resource.Quantity, bool) {
	if q, ok := r.Requests[name]; ok {
		return q, true
	}
	return limitOf(r, name)
}

// boundless are what a container without a limit may use all of; of extended resources it gets none.
var boundless = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

// bound holds for the effective total. A container without a limit on cpu or memory may use the whole node, so it is over
// every bound; a request isn't needed at all.
func (v *violations) bound(pod *corev1.Pod, setting string, name corev1.ResourceName, b *v1alpha1.Bound, of amount) {
	if b == nil || b.Max == nil {
		return
	}
	path := "constraints." + setting + ".max"
	if slices.Contains(boundless, name) && !strings.HasSuffix(setting, "Guarantee") {
		for _, where := range containersWithout(pod, name, of) {
			v.addf(where+".resources.limits["+string(name)+"]", "is missing or 0, and %s allows at most %s", path, b.Max.String())
		}
	}
	total := effectiveTotal(pod, name, of)
	if total.Cmp(*b.Max) > 0 {
		v.addf("spec.containers", "all containers together have %s of %s, and %s allows at most %s", total.String(), name, path, b.Max.String())
	}
	if pod.Spec.Resources != nil {
		if q, ok := of(pod.Spec.Resources, name); ok && q.Cmp(*b.Max) > 0 {
			v.addf("spec.resources", "has %s of %s, and %s allows at most %s", q.String(), name, path, b.Max.String())
		}
	}
}

// containersWithout finds the containers that don't state an amount. The kubelet takes a limit of 0 for none.
func containersWithout(pod *corev1.Pod, name corev1.ResourceName, of amount) []string {
	var where []string
	forEachContainer(pod, func(path string, c *corev1.Container) {
		if q, ok := of(&c.Resources, name); !ok || q.IsZero() {
			where = append(where, path)
		}
	})
	return where
}

// effectiveTotal is the sum of what runs together, or the largest step of the init containers, whichever is more; an
// init container that restarts runs along with all that come after it. So the scheduler counts.
func effectiveTotal(pod *corev1.Pod, name corev1.ResourceName, of amount) resource.Quantity {
	var running, largest resource.Quantity
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		q, _ := of(&c.Resources, name)
		step := running.DeepCopy()
		step.Add(q)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			running = step
		}
		if step.Cmp(largest) > 0 {
			largest = step.DeepCopy()
		}
	}
	for i := range pod.Spec.Containers {
		q, _ := of(&pod.Spec.Containers[i].Resources, name)
		running.Add(q)
	}
	if largest.Cmp(running) > 0 {
		return largest
	}
	return running
}

// forEachContainer visits every container of the pod with its path.
func forEachContainer(pod *corev1.Pod, visit func(path string, c *corev1.Container)) {
	for i := range pod.Spec.InitContainers {
		visit("spec.initContainers["+pod.Spec.InitContainers[i].Name+"]", &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		visit("spec.containers["+pod.Spec.Containers[i].Name+"]", &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		e := &pod.Spec.EphemeralContainers[i]
		c := corev1.Container(e.EphemeralContainerCommon)
		visit("spec.ephemeralContainers["+e.Name+"]", &c)
	}
}

// images holds for every container, and for volumes that are images.
func (v *violations) images(pod *corev1.Pod, rule *v1alpha1.ImageRule) {
	if rule == nil {
		return
	}
	check := func(path, image string) {
		if !matchesAny(rule.Allow, image) {
			v.addf(path, "image %q isn't allowed: constraints.image.allow has %s", image, strings.Join(rule.Allow, ", "))
		}
	}
	forEachContainer(pod, func(path string, c *corev1.Container) { check(path+".image", c.Image) })
	for i := range pod.Spec.Volumes {
		if image := pod.Spec.Volumes[i].Image; image != nil {
			check(fmt.Sprintf("spec.volumes[%s].image.reference", pod.Spec.Volumes[i].Name), image.Reference)
		}
	}
}

// podSecurityEvaluator is Kubernetes' own, with its built-in checks.
var podSecurityEvaluator = sync.OnceValues(func() (psapolicy.Evaluator, error) {
	e, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("build the Pod Security checks: %w", err)
	}
	return e, nil
})

func (v *violations) podSecurity(pod *corev1.Pod, level v1alpha1.PodSecurityLevel) {
	if level == "" || level == v1alpha1.PodSecurityLevel(psa.LevelPrivileged) {
		return
	}
	evaluator, err := podSecurityEvaluator()
	if err != nil {
		v.addf("constraints.podSecurity", "%v", err)
		return
	}
	lv := psa.LevelVersion{Level: psa.Level(level), Version: psa.LatestVersion()}
	for _, r := range evaluator.EvaluatePod(lv, &pod.ObjectMeta, &pod.Spec) {
		if !r.Allowed {
			v.addf("spec", "violates Pod Security %q: %s (%s)", level, r.ForbiddenReason, r.ForbiddenDetail)
		}
	}
}
