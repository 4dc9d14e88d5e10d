package policy

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/expression"
)

// compiledMutation changes the built pod.
type compiledMutation struct {
	path     *field.Path
	mutation *expression.Mutation
}

// ownedMutation is a mutation with its policy.
type ownedMutation struct {
	*compiledMutation

	policy *PolicyRef
}

func (p *compiledPolicy) compileMutations(path *field.Path) {
	for i := range p.spec.Mutations {
		m, at := &p.spec.Mutations[i], path.Index(i)
		if m.PatchType != expression.JSONPatch && m.PatchType != expression.ApplyConfiguration {
			p.errs = append(p.errs, field.NotSupported(at.Child("patchType"), m.PatchType, []string{expression.JSONPatch, expression.ApplyConfiguration}))
			continue
		}
		compiled, err := expression.CompileMutation(m.PatchType, m.Expression)
		if err != nil {
			p.errs = append(p.errs, field.Invalid(at.Child("expression"), m.Expression, err.Error()))
			continue
		}
		p.mutations = append(p.mutations, compiledMutation{at, compiled})
	}
}

// mutationsOf are those of namespaces, then those of the cluster, which so has the last word.
func mutationsOf(policies []*compiledPolicy) []ownedMutation {
	var all []ownedMutation
	for _, cluster := range []bool{false, true} {
		for _, p := range policies {
			for i := range p.mutations {
				if p.cluster == cluster {
					all = append(all, ownedMutation{&p.mutations[i], &p.ref})
				}
			}
		}
	}
	return all
}

// mutate gives the pod that mutations make of this one; who a server is for they can't change.
func (x *server) mutate(pod *corev1.Pod) (*corev1.Pod, []Denial) {
	if len(x.plan.mutations) == 0 {
		return pod, nil
	}
	object, err := asObject(pod)
	if err != nil {
		return nil, []Denial{denyf(ExpressionFailed, nil, "spec.mutations", "%v", err)}
	}
	appendable(object)
	var denials []Denial
	run, mutated := x.evaluation(), pod
	for _, m := range x.plan.mutations {
		changed, decoded, err := m.applied(run, object, x.keeping())
		if err != nil {
			d := denyf(ExpressionFailed, m.policy, m.path.String(), "%v", err)
			d.always = isFault(err)
			denials = append(denials, d)
			continue
		}
		object, mutated = changed, decoded
		x.trace.mutated(mutated, &m)
	}
	if len(denials) > 0 {
		return nil, denials
	}
	x.ownLabelKeys = union(x.ownLabelKeys, changedIn(pod.Labels, mutated.Labels))
	x.ownAnnotationKeys = union(x.ownAnnotationKeys, changedIn(pod.Annotations, mutated.Annotations))
	if _, fitted := mutated.Annotations[AnnotationApplied]; fitted {
		mutated.Annotations[AnnotationApplied] = x.applied()
	}
	return mutated, nil
}

// fault is a mutation's own, whoever the server is for.
type fault string

func (f fault) Error() string { return string(f) }

// isFault: so are the errors of ApplyConfiguration's types.
func isFault(err error) bool {
	_, own := errors.AsType[fault](err)
	return own || strings.HasPrefix(err.Error(), "error applying patch: ") || strings.HasPrefix(err.Error(), "type mismatch: ")
}

// applied gives the changed pod, as JSON has it and typed. With twice, what it makes of its own result must be the same: a kept pod is
// held against what keeping it once more gives.
func (m *ownedMutation) applied(run *evaluation, object map[string]any, twice bool) (map[string]any, *corev1.Pod, error) {
	changed, err := m.mutation.Apply(&run.variables, object, &run.budget)
	if err != nil {
		return nil, nil, err
	}
	if path := tampered(object, changed); path != "" {
		return nil, nil, fault("changes " + path + ", which no mutation may: leave it as it is")
	}
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(changed, pod, true); err != nil {
		return nil, nil, fault("makes a pod that can't be read: " + strings.TrimPrefix(err.Error(), "strict decoding error: "))
	}
	if twice {
		again, err := m.mutation.Apply(&run.variables, changed, &run.budget)
		if err != nil || !reflect.DeepEqual(again, changed) {
			return nil, nil, fault("isn't the same when it is applied to its own result, as it has to be with skeleton: Keep: ask first whether it is done")
		}
	}
	return changed, pod, nil
}

// asObject is a pod as JSON has it, without a status.
func asObject(pod *corev1.Pod) (map[string]any, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return nil, fmt.Errorf("encode the pod: %w", err)
	}
	object["apiVersion"], object["kind"] = "v1", "Pod"
	delete(object, "status")
	if metadata, ok := object["metadata"].(map[string]any); ok && metadata["creationTimestamp"] == nil {
		delete(metadata, "creationTimestamp")
	}
	return object, nil
}

// appendable gives the pod the lists that mutations add to, where it has none: a JSONPatch to /spec/volumes/- would fail
// without the list.
func appendable(pod map[string]any) {
	ensure := func(of map[string]any, keys ...string) {
		for _, key := range keys {
			if of[key] == nil {
				of[key] = []any{}
			}
		}
	}
	spec := objectIn(pod, "spec")
	ensure(spec, "volumes", "tolerations", "initContainers", "containers")
	for _, kind := range []string{"initContainers", "containers"} {
		containers, _ := spec[kind].([]any)
		for i := range containers {
			if c, ok := containers[i].(map[string]any); ok {
				ensure(c, "env", "volumeMounts")
			}
		}
	}
}

// computedByAdmission are fields of a pod's spec that the API server computes, and it refuses any other value.
var computedByAdmission = []string{"priority", "preemptionPolicy", "overhead"}

// tampered finds what a mutation changed and must not: of the metadata all but labels and annotations, and among those what
// says who the server is for. "" where all is well.
func tampered(before, after map[string]any) string {
	for _, key := range union(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		if key != "metadata" && key != "spec" && !reflect.DeepEqual(before[key], after[key]) {
			return key
		}
	}
	was, is := objectIn(before, "metadata"), objectIn(after, "metadata")
	for _, key := range union(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is))) {
		if key != "labels" && key != "annotations" && !reflect.DeepEqual(was[key], is[key]) {
			return "metadata." + key
		}
	}
	for _, kind := range []string{"labels", "annotations"} {
		was, is := objectIn(was, kind), objectIn(is, kind)
		for _, key := range union(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is))) {
			if (isOurs(key) || kind == "annotations" && matchesAny(droppedAnnotations, key)) && !reflect.DeepEqual(was[key], is[key]) {
				return "metadata." + kind + "[" + key + "]"
			}
		}
	}
	was, is = objectIn(before, "spec"), objectIn(after, "spec")
	for _, key := range computedByAdmission {
		if !reflect.DeepEqual(was[key], is[key]) {
			return "spec." + key
		}
	}
	return ""
}

func objectIn(of map[string]any, key string) map[string]any {
	object, _ := of[key].(map[string]any)
	return object
}

// changedIn are the keys that one map has and the other hasn't, or has otherwise.
func changedIn(before, after map[string]string) []string {
	var keys []string
	for key, value := range after {
		if was, had := before[key]; key != AnnotationApplied && (!had || was != value) {
			keys = append(keys, key)
		}
	}
	return keys
}
