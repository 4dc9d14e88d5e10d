package kubespawner

import (
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// imageVariables are what KubeSpawner sets itself, over anything but text and maps.
var imageVariables = []string{"JUPYTER_IMAGE", "JUPYTER_IMAGE_SPEC"}

const wantEnv = "text (in quotes), null, or a map with value or valueFrom"

func readEnvironment(c *converter, _ *trait, v any, at string) any {
	object, ok := v.(Object)
	if list, isList := v.([]any); isList && c.opts.Evident {
		object, ok = c.environmentOfList(list, at), true
	}
	if !ok {
		c.wrongType(at, "a map of variables", v)
		return nil
	}
	out := Object{}
	names := map[string]string{}
	for _, m := range object {
		here := Child(at, m.Key)
		if m.Value == nil && slices.Contains(imageVariables, m.Key) {
			c.find(Warning, here, "null has no effect here: KubeSpawner writes the image's name over it", "it is left out")
			continue
		}
		if entry := c.variable(m.Value, here); entry != nil {
			out = c.withVariable(out, m.Key, entry, at, names)
		}
	}
	return out
}

// withVariable adds a variable, and takes away an earlier one of the same name. names are the keys by name.
func (c *converter) withVariable(out Object, key string, entry any, at string, names map[string]string) Object {
	name := key
	if o, isMap := entry.(Object); isMap {
		if other, has := o.Get("name"); has {
			name, _ = other.(string)
		}
	}
	if before, twice := names[name]; twice && before != key {
		c.find(Warning, Child(at, before), "is the same variable as "+Child(at, key)+", which wins in KubeSpawner", "it is left out")
		out = out.Without(before)
	}
	names[name] = key
	return out.With(key, entry)
}

// variable gives one variable; nil where there is none to give.
func (c *converter) variable(v any, at string) any {
	if name, ok := callable(v); ok {
		c.variableFunction(v.(Object), name, at)
		return nil
	}
	switch v := v.(type) {
	case nil:
		return Object{}
	case string:
		return v
	case Object:
		return c.envVar(v, at)
	case int64, float64, bool:
		if c.opts.Evident {
			text := evidentText(v)
			c.find(Warning, at, "KubeSpawner fails at every spawn with "+describe(v)+", which isn't text", "the policy has it as text: "+strconv.Quote(text))
			return text
		}
	}
	c.wrongType(at, wantEnv, v)
	return nil
}

func evidentText(v any) string {
	text := describe(v)
	if b, ok := v.(bool); ok {
		text = strconv.FormatBool(b)
	}
	return text
}

func (c *converter) envVar(v Object, at string) any {
	out := c.object(v, reflect.TypeFor[corev1.EnvVar](), at, nil)
	if name, has := v.Get("name"); has && name == nil {
		c.refusef(Child(at, "name"), "must be a variable's name, or absent for the map's key")
	}
	_, hasValue := out.Get("value")
	_, hasFrom := out.Get("valueFrom")
	if hasValue && hasFrom {
		c.refusef(at, "has value and valueFrom, which Kubernetes refuses: a variable has one of them")
	}
	return out
}

func patchEnvironment(c *converter, t *trait, v Object, at string, b *block) any {
	out := Object{}
	names := map[string]string{}
	for _, m := range v {
		here := Child(at, m.Key)
		o, isMap := m.Value.(Object)
		if _, isFunction := callable(m.Value); isFunction {
			isMap = false
		}
		switch {
		case m.Value == nil:
			b.take(t.setting, m.Key)
		case isMap:
			out = c.withVariable(out, m.Key, c.patched(o, reflect.TypeFor[corev1.EnvVar](), here, b, t.setting, m.Key), at, names)
		default:
			if entry := c.variable(m.Value, here); entry != nil {
				out = c.withVariable(out, m.Key, entry, at, names)
			}
		}
	}
	return out
}

// environmentOfList reads the form that a container has, and that KubeSpawner refuses.
func (c *converter) environmentOfList(list []any, at string) Object {
	c.find(Warning, at, "KubeSpawner refuses a list of variables at the first spawn", "the policy has them as a map; check that they are what you mean")
	out := Object{}
	for i, item := range list {
		o, _ := item.(Object)
		name, _ := o.Get("name")
		s, ok := name.(string)
		if !ok || s == "" {
			c.refusef(Index(at, i), "must be a map with name, and value or valueFrom")
			continue
		}
		rest := o.Without("name")
		if value, has := rest.Get("value"); has && len(rest) == 1 {
			out = out.With(s, value)
			continue
		}
		out = out.With(s, rest)
	}
	return out
}
