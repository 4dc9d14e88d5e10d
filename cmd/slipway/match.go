package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// difference is one place at which something else stands than is wanted; nil is nothing at all.
type difference struct {
	Path string `json:"path"`
	Want any    `json:"want,omitempty"`
	Got  any    `json:"got,omitempty"`
}

// matcher holds what is wanted against a Kubernetes object, both as plain JSON. What is wanted is a part: maps have more, and so
// have lists of things with an identity (a container's name, a mount's path), which are found by it. Any other list is a whole,
// and an empty one is none. Values are compared as Kubernetes reads them, so 1024Mi is 1Gi.
type matcher struct {
	// exact: what is wanted is all that there may be, in that order.
	exact bool
	found []difference
}

// differences of an object of type t.
func differences(want, have map[string]any, t reflect.Type, exact bool) []difference {
	m := &matcher{exact: exact}
	m.fields("", want, have, t)
	return m.found
}

func (m *matcher) differ(path string, want, got any) {
	m.found = append(m.found, difference{path, want, got})
}

// value compares one value of type t; key is what identifies the items of a list, "" where nothing does.
func (m *matcher) value(path string, want, have any, t reflect.Type, key string) {
	fields, isMap := want.(map[string]any)
	items, isList := want.([]any)
	switch {
	case have == nil:
		if !isZero(want, t) {
			m.differ(path, want, nil)
		}
	case isMap && isObject(t):
		have, _ := have.(map[string]any)
		m.fields(path, fields, have, t)
	case isList && key != "" && len(items) > 0: // an empty list is none
		have, _ := have.([]any)
		m.items(path, items, have, elem(t), key)
	case isList:
		have, _ := have.([]any)
		m.list(path, items, have, t)
	case !reflect.DeepEqual(canonical(want, t), have):
		m.differ(path, want, have)
	}
}

// fields compares a struct or a map.
func (m *matcher) fields(path string, want, have map[string]any, t reflect.Type) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		below, key := typeBelow(t, name)
		m.value(joined(path, name, t), want[name], have[name], below, key)
	}
	if !m.exact {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		below, _ := typeBelow(t, name)
		if _, wanted := want[name]; !wanted && !isZero(have[name], below) {
			m.differ(joined(path, name, t), nil, have[name])
		}
	}
}

// items compares lists whose items are found by their key.
func (m *matcher) items(path string, want, have []any, t reflect.Type, key string) {
	found := make([]bool, len(have))
	for _, w := range want {
		id := idOf(w, key)
		at := -1
		for i, h := range have {
			// Two ports may have one number: the one that fits is meant.
			if !found[i] && idOf(h, key) == id && (at < 0 || m.fits(w, h, t)) {
				at = i
			}
		}
		item := path + "[" + id + "]"
		if at < 0 {
			m.differ(item, w, nil)
			continue
		}
		found[at] = true
		m.value(item, w, have[at], t, "")
	}
	if !m.exact {
		return
	}
	for i, h := range have {
		if !found[i] {
			m.differ(path+"["+idOf(h, key)+"]", nil, h)
		}
	}
	if w, h := idsOf(want, key), idsOf(have, key); len(w) == len(h) && !slices.Contains(found, false) && !slices.Equal(w, h) {
		m.differ(path, "in this order: "+strings.Join(w, ", "), "in this order: "+strings.Join(h, ", "))
	}
}

func (m *matcher) fits(want, have any, t reflect.Type) bool {
	trial := matcher{exact: m.exact}
	trial.value("", want, have, t, "")
	return len(trial.found) == 0
}

// list compares lists whose items have no identity. Where only some of them differ, those are named.
func (m *matcher) list(path string, want, have []any, t reflect.Type) {
	read, _ := canonical(want, t).([]any)
	if len(read) != len(have) {
		m.differ(path, want, have)
		return
	}
	for i := range read {
		if !reflect.DeepEqual(read[i], have[i]) {
			m.differ(path+"["+strconv.Itoa(i)+"]", want[i], have[i])
		}
	}
}

// canonical is a value the way Kubernetes writes it. One that can't be read as t, which is refused before, stays as it is.
func canonical(value any, t reflect.Type) any {
	into := reflect.New(t)
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, into.Interface())
	}
	if err == nil {
		data, err = json.Marshal(into.Interface())
	}
	var out any
	if err == nil {
		err = utiljson.Unmarshal(data, &out)
	}
	if err != nil {
		return value
	}
	return out
}

// isZero says whether a value is the same as none: false, 0 and the empty ones, unless a pointer tells them apart.
func isZero(value any, t reflect.Type) bool {
	if value == nil {
		return true
	}
	into := reflect.New(t)
	data, err := json.Marshal(value)
	if err != nil || json.Unmarshal(data, into.Interface()) != nil {
		return false
	}
	switch v := into.Elem(); v.Kind() {
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// isObject: a struct or map that is written as one, as opposed to a quantity.
func isObject(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, scalar := reflect.TypeAssert[json.Unmarshaler](reflect.New(t))
	return !scalar && (t.Kind() == reflect.Struct || t.Kind() == reflect.Map)
}

func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Elem()
}

// typeBelow is the type of a field or key, and what identifies the items where it is a list: the key by which Kubernetes merges
// them. Text stands for what there isn't.
func typeBelow(t reflect.Type, name string) (below reflect.Type, key string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), ""
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name && tag != "" {
				return f.Type, f.Tag.Get("patchMergeKey")
			}
		}
	default:
	}
	return reflect.TypeFor[string](), ""
}

// joined writes what is below a path: .field or [key].
func joined(path, name string, t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Map:
		return path + "[" + name + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

func idOf(item any, key string) string {
	fields, _ := item.(map[string]any)
	if id, has := fields[key]; has {
		return fmt.Sprint(id)
	}
	return ""
}

func idsOf(items []any, key string) []string {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = idOf(item, key)
	}
	return ids
}

// nameless are the items of what is wanted that can't be found, since they lack what identifies them.
func nameless(path string, want any, t reflect.Type, key string) []error {
	var errs []error
	switch want := want.(type) {
	case map[string]any:
		if !isObject(t) {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			below, key := typeBelow(t, name)
			errs = append(errs, nameless(joined(path, name, t), want[name], below, key)...)
		}
	case []any:
		if key == "" {
			return nil
		}
		for i, item := range want {
			at := path + "[" + strconv.Itoa(i) + "]"
			if idOf(item, key) == "" {
				errs = append(errs, fmt.Errorf("%s.%s: is missing, and items are found by it", at, key))
				continue
			}
			errs = append(errs, nameless(at, item, elem(t), "")...)
		}
	}
	return errs
}

// objectPath is a place in an object, as its fields and keys: spec, containers, notebook for spec.containers[notebook].
type objectPath []string

// parsePath reads spec.containers[notebook].env[PATH] and the like.
func parsePath(text string) (objectPath, error) {
	var path objectPath
	for rest := "." + text; rest != ""; {
		var name string
		if inside, is := strings.CutPrefix(rest, "["); is {
			var closed bool
			if name, rest, closed = strings.Cut(inside, "]"); !closed {
				name = ""
			}
		} else if name, is = strings.CutPrefix(rest, "."); is {
			rest = ""
			if end := strings.IndexAny(name, ".["); end >= 0 {
				name, rest = name[:end], name[end:]
			}
		}
		if name == "" {
			return nil, errors.New("must be a path like spec.containers[notebook].env[DEBUG]")
		}
		path = append(path, name)
	}
	return path, nil
}

// sample is an object with something at that path, by which to tell whether such an object can be.
func (p objectPath) sample(t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && len(p) == 0:
		return []any{}
	case t.Kind() == reflect.Slice:
		return []any{p[1:].sample(t.Elem())}
	case len(p) > 0:
		below, _ := typeBelow(t, p[0])
		return map[string]any{p[0]: p[1:].sample(below)}
	case isObject(t):
		return map[string]any{}
	}
	return canonical(reflect.Zero(t).Interface(), t)
}

// absent adds a difference where something stands at the path. An item in the middle of it has to be there: in one that isn't
// nothing can be, and the name is likely misspelt.
func (m *matcher) absent(path objectPath, have any, t reflect.Type) {
	at, key := "", ""
	for i, name := range path {
		switch h := have.(type) {
		case map[string]any:
			at = joined(at, name, t)
			have = h[name]
			t, key = typeBelow(t, name)
		case []any:
			at += "[" + name + "]"
			j := slices.IndexFunc(h, func(item any) bool { return key != "" && idOf(item, key) == name })
			if n, err := strconv.Atoi(name); key == "" && err == nil && n >= 0 && n < len(h) {
				j = n
			}
			t, key = elem(t), ""
			if j < 0 && i < len(path)-1 {
				m.differ(at, "something to look into", nil)
			}
			if j < 0 {
				return
			}
			have = h[j]
		}
	}
	if !isZero(have, t) {
		m.differ(at, nil, have)
	}
}
