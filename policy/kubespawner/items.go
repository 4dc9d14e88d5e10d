package kubespawner

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	sigsjson "sigs.k8s.io/json"
)

// readItems reads volumes, mounts, containers, tolerations and affinity terms: a list, or a map that KubeSpawner makes a
// list of by the order of its keys. The policy keeps the map, since profiles merge into it by key.
func readItems(c *converter, t *trait, v any, at string) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, 0, len(v))
		for i, item := range v {
			if o := c.item(t, item, Index(at, i)); o != nil {
				out = append(out, o)
			}
		}
		return out
	case Object:
		out := Object{}
		for _, m := range v.sorted() {
			if o := c.item(t, m.Value, Child(at, m.Key)); o != nil {
				out = out.With(m.Key, o)
			}
		}
		return out
	}
	c.wrongType(at, "a list, or a map whose values are the items", v)
	return nil
}

// item gives one item; nil where there is none to give.
func (c *converter) item(t *trait, v any, at string) any {
	model := reflect.TypeOf(t.item)
	if name, ok := callable(v); ok {
		c.find(Unmapped, at, "is a Python object ("+name+") that can't be read from here", "write it as a plain map in the policy's "+t.setting)
		return nil
	}
	o, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map", v)
		return nil
	}
	if ready, isModel := c.model(o, t); isModel {
		o = ready
	}
	out := c.object(o, model, at, t.needs)
	return out
}

// model reads {"$model": KIND, "value": {...}}: an object of the Kubernetes client, whose strings KubeSpawner never expands.
func (c *converter) model(o Object, t *trait) (Object, bool) {
	if _, is := o.Get("$model"); !is {
		return o, false
	}
	value, _ := o.Get("value")
	if t.expand != nil {
		value = mapText(value, doubledBraces)
	}
	ready, ok := value.(Object)
	return ready, ok
}

// object reads one Kubernetes object, or an item of one. Names at its first level may be in snake_case, as in the Python
// client; what is below goes to Kubernetes as it is, so that a name it doesn't know is dropped there without a word.
func (c *converter) object(o Object, model reflect.Type, at string, needs []string) Object {
	fields := fieldsOf(model)
	out := Object{}
	for _, m := range o {
		name, known := fields.find(m.Key)
		here := Child(at, m.Key)
		if !known {
			if c.unknownField(model, here) {
				out = out.With(m.Key, withoutNull(m.Value))
			}
			continue
		}
		if m.Value == nil {
			out = out.Without(name)
			continue
		}
		out = out.With(name, c.pruned(m.Value, fields.types[name], here))
	}
	for _, name := range needs {
		if _, has := out.Get(name); !has {
			c.refusef(at, "needs %s: KubeSpawner fails without it", name)
		}
	}
	c.decodes(out, model, at)
	return fields.inOrder(out)
}

// unknownField: the Python client raises an error where it builds the object. For all servers that is a policy which
// denies all of them, so the field is kept; for one profile it has to be mended first.
func (c *converter) unknownField(model reflect.Type, at string) bool {
	if c.override || c.typed {
		c.refusef(at, "%s has no field of this name, and KubeSpawner fails to start a server with it", model.Name())
		return false
	}
	c.find(Warning, at, model.Name()+" has no field of this name: KubeSpawner fails to start any server with it",
		"the policy keeps it and denies every server, until you correct or remove it")
	return true
}

// decodes checks the types of an object's values; names were checked before.
func (c *converter) decodes(o Object, model reflect.Type, at string) {
	if c.typed {
		return // {value} may stand for anything
	}
	data, err := marshal(o)
	if err != nil {
		c.refusef(at, "%s", err)
		return
	}
	if _, err := sigsjson.UnmarshalStrict(data, reflect.New(model).Interface()); err != nil {
		c.refusef(at, "Kubernetes refuses it: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

// pruned takes away what the API server would: nulls, and names that it doesn't know. A null in a list is nothing of its kind there.
func (c *converter) pruned(v any, t reflect.Type, at string) any {
	t = dereferenced(t)
	switch v := v.(type) {
	case Object:
		return c.prunedObject(v, t, at)
	case []any:
		if t.Kind() != reflect.Slice {
			return withoutNull(v)
		}
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = c.pruned(item, t.Elem(), Index(at, i))
		}
		return out
	case nil:
		return emptyOf(t)
	}
	return v
}

// emptyOf is what null is read as where a value of a type is wanted.
func emptyOf(t reflect.Type) any {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return Object{}
	case reflect.Slice:
		return []any{}
	case reflect.Bool:
		return false
	case reflect.Int, reflect.Int32, reflect.Int64:
		return int64(0)
	default:
		return ""
	}
}

// withoutNull has empty text for each null of what is of no known type: a policy can't be read with a null in it.
func withoutNull(v any) any {
	switch v := v.(type) {
	case nil:
		return ""
	case Object:
		out := Object{}
		for _, m := range v {
			out = out.With(m.Key, withoutNull(m.Value))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutNull(item)
		}
		return out
	}
	return v
}

func (c *converter) prunedObject(o Object, t reflect.Type, at string) any {
	switch {
	case t.Kind() == reflect.Map:
		out := Object{}
		for _, m := range o {
			switch {
			case m.Value != nil:
				out = out.With(m.Key, c.pruned(m.Value, t.Elem(), Child(at, m.Key)))
			case t.Elem().Kind() == reflect.String:
				out = out.With(m.Key, "")
			}
		}
		return out
	case t.Kind() != reflect.Struct || len(fieldsOf(t).order) == 0:
		return withoutNull(o)
	}
	fields := fieldsOf(t)
	out := Object{}
	for _, m := range o {
		here := Child(at, m.Key)
		field, known := fields.types[m.Key]
		if !known {
			c.droppedField(m.Key, t, here)
			continue
		}
		if m.Value != nil {
			out = out.With(m.Key, c.pruned(m.Value, field, here))
		}
	}
	return fields.inOrder(out)
}

func (c *converter) droppedField(key string, t reflect.Type, at string) {
	meant := ""
	if name, known := fieldsOf(t).find(key); known {
		meant = "; it is called " + name
	}
	c.find(Warning, at, "Kubernetes knows no such field of "+t.Name()+" and drops it without a word"+meant, "it is left out")
}

// patchItems merges items by their keys in the map.
func patchItems(c *converter, t *trait, v Object, at string, b *block) any {
	out := Object{}
	for _, m := range v.sorted() {
		here := Child(at, m.Key)
		if name, ok := callable(m.Value); ok {
			c.find(Unmapped, here, "is a Python object ("+name+") that can't be read from here", "write it as a plain map")
			continue
		}
		switch item := m.Value.(type) {
		case nil:
			b.take(t.setting, m.Key)
		case Object:
			out = out.With(m.Key, c.patched(item, reflect.TypeOf(t.item), here, b, t.setting, m.Key))
		default:
			c.wrongType(here, "a map, or null to take the item away", item)
		}
	}
	return out
}

// patched reads a piece of an object that is merged into a weaker layer's: null takes a field away.
func (c *converter) patched(o Object, model reflect.Type, at string, b *block, setting string, keys ...string) Object {
	fields := fieldsOf(model)
	out := Object{}
	for _, m := range o {
		name, known := fields.find(m.Key)
		here := Child(at, m.Key)
		if !known {
			c.unknownField(model, here)
			continue
		}
		out = c.patchedField(out, name, m.Value, fields.types[name], here, b, setting, append(slices.Clone(keys), name))
	}
	return fields.inOrder(out)
}

func (c *converter) patchedField(out Object, name string, v any, t reflect.Type, at string, b *block, setting string, keys []string) Object {
	t = dereferenced(t)
	switch v := v.(type) {
	case nil:
		b.take(setting, keys...)
		return out.Without(name)
	case Object:
		below := Object{}
		for _, m := range v {
			elem := t
			switch {
			case t.Kind() == reflect.Map:
				elem = t.Elem()
			case t.Kind() == reflect.Struct && len(fieldsOf(t).order) > 0:
				field, known := fieldsOf(t).types[m.Key]
				if !known {
					c.droppedField(m.Key, t, Child(at, m.Key))
					continue
				}
				elem = field
			}
			below = c.patchedField(below, m.Key, m.Value, elem, Child(at, m.Key), b, setting, append(slices.Clone(keys), m.Key))
		}
		return out.With(name, below)
	}
	return out.With(name, c.pruned(v, t, at))
}

// fields are the JSON fields of a Kubernetes type, with what it embeds.
type fields struct {
	types map[string]reflect.Type
	// order is that of the type, in which a reader expects them: name and image before the rest.
	order []string
}

// known keeps what reflection found out, by type.
var known sync.Map

func fieldsOf(t reflect.Type) *fields {
	t = dereferenced(t)
	if f, has := known.Load(t); has {
		return f.(*fields)
	}
	f := &fields{types: map[string]reflect.Type{}}
	if t.Kind() == reflect.Struct {
		for _, field := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" && name != "-" {
				f.types[name] = field.Type
				f.order = append(f.order, name)
			}
		}
	}
	known.Store(t, f)
	return f
}

// find gives a field's name by that in JSON or in the Python client.
func (f *fields) find(key string) (string, bool) {
	if _, has := f.types[key]; has {
		return key, true
	}
	for _, name := range f.order {
		if snakeCase(name) == key {
			return name, true
		}
	}
	return "", false
}

// inOrder sorts an object's members by the type's order; what the type doesn't know comes last.
func (f *fields) inOrder(o Object) Object {
	out := slices.Clone(o)
	place := func(key string) int {
		if at := slices.Index(f.order, key); at >= 0 {
			return at
		}
		return len(f.order)
	}
	slices.SortStableFunc(out, func(a, b Member) int { return place(a.Key) - place(b.Key) })
	return out
}

func dereferenced(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

var (
	upperThenLower = regexp.MustCompile(`(.)([A-Z][a-z]+)`)
	lowerThenUpper = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// snakeCase is how the client's generator names attributes: setHostnameAsFQDN is set_hostname_as_fqdn.
func snakeCase(name string) string {
	name = upperThenLower.ReplaceAllString(name, "${1}_${2}")
	return strings.ToLower(lowerThenUpper.ReplaceAllString(name, "${1}_${2}"))
}
