package kubespawner

import (
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// readFragment reads extra_pod_config, extra_container_config and lifecycle_hooks.
func readFragment(c *converter, t *trait, v any, at string) any {
	o, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map", v)
		return nil
	}
	model := reflect.TypeOf(t.item)
	return c.object(c.withoutNulls(o, t, at), model, at, nil)
}

// instead is what takes a field away where null can't be written.
var instead = map[string]any{
	// The API server's own default.
	"restartPolicy": "Always",
	"schedulerName": "default-scheduler",
	// An empty one is the same as none.
	"affinity": Object{}, "securityContext": Object{}, "nodeSelector": Object{}, "lifecycle": Object{}, "resources": Object{},
	"volumes": []any{}, "initContainers": []any{}, "tolerations": []any{}, "imagePullSecrets": []any{}, "args": []any{},
	"env": []any{}, "ports": []any{}, "volumeMounts": []any{}, "workingDir": "", "serviceAccountName": "", "priorityClassName": "",
	"imagePullPolicy": "",
}

// withoutNulls says in other words what KubeSpawner is told by a null: that the field is to be absent.
func (c *converter) withoutNulls(o Object, t *trait, at string) Object {
	out := Object{}
	fields := fieldsOf(reflect.TypeOf(t.item))
	for _, m := range o {
		name, _ := fields.find(m.Key)
		if m.Value != nil {
			out = out.Without(name).With(m.Key, m.Value)
			continue
		}
		here := Child(at, m.Key)
		switch value, has := instead[name]; {
		case has:
			out = out.With(m.Key, value)
		case slices.Contains([]string{"name", "containers", "image"}, name):
			c.refusef(here, "can't be null: a pod has one")
		case name == "automountServiceAccountToken":
			c.find(Warning, here, "null takes the field away, and the cluster's default then mounts the service account's token", "it is left out of the policy; write true if you want the token")
		}
	}
	return out
}

func patchFragment(c *converter, t *trait, v Object, at string, b *block) any {
	model := reflect.TypeFor[metav1.LabelSelector]()
	if t.item != nil {
		model = reflect.TypeOf(t.item)
	}
	if strings.HasSuffix(t.name, "_security_context") {
		c.camelOnly(v, at)
	}
	return c.patched(v, model, at, b, t.setting)
}

func readSelector(c *converter, _ *trait, v any, at string) any {
	o, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a label selector", v)
		return nil
	}
	out, _ := c.prunedObject(o, reflect.TypeFor[metav1.LabelSelector](), at).(Object)
	c.decodes(out, reflect.TypeFor[metav1.LabelSelector](), at)
	return out
}

// fromTrait are the fields of a security context that traits of their own fill.
var fromTrait = map[string]string{
	"runAsUser": "uid", "runAsGroup": "gid", "privileged": "privileged", "allowPrivilegeEscalation": "allowPrivilegeEscalation",
	"fsGroup": "fsGid", "supplementalGroups": "supplementalGids",
}

// readSecurityContext: null doesn't take a field away here but is sent to Kubernetes, where it means absent whatever the trait says.
func readSecurityContext(c *converter, t *trait, v any, at string) any {
	o, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map", v)
		return nil
	}
	c.camelOnly(o, at)
	fields := fieldsOf(reflect.TypeOf(t.item))
	out := Object{}
	for _, m := range o {
		here := Child(at, m.Key)
		field, known := fields.types[m.Key]
		switch {
		case !known && !strings.Contains(m.Key, "_"):
			c.find(Warning, here, "Kubernetes knows no such field and drops it without a word", "it is left out")
		case m.Value != nil && known:
			out = out.With(m.Key, c.pruned(m.Value, field, here))
		case known && fromTrait[m.Key] != "":
			delete(c.block.values, fromTrait[m.Key])
			c.block.take(fromTrait[m.Key])
		}
	}
	c.decodes(out, reflect.TypeOf(t.item), at)
	return out
}

// camelOnly: KubeSpawner raises an error for a security context in snake_case.
func (c *converter) camelOnly(o Object, at string) {
	for _, m := range o {
		if strings.Contains(m.Key, "_") {
			c.refusef(Child(at, m.Key), "must be in camelCase, as in Kubernetes: KubeSpawner refuses names with _ here")
		}
	}
}
