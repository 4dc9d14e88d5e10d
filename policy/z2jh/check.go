package z2jh

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-hub/slipway/policy/internal/spelling"
	"github.com/slipway-hub/slipway/policy/kubespawner"
)

var typeNames = map[byte]string{'s': "text", 'b': "true or false", 'i': "a whole number", 'n': "a number", 'm': "a map", 'l': "a list", '0': "null"}

// check holds a value against the chart's schema, and refuses what Helm would.
func (b *builder) check(v any, r rule, at string) {
	if v == nil && !strings.HasPrefix(at, "singleuser.") {
		return // it takes a default away that we don't know
	}
	if r.types != "" && !strings.ContainsAny(r.types, typesOf(v)) {
		b.refusef(at, "must be %s, not %s: Helm refuses it", wanted(r.types), named(v))
		return
	}
	if s, ok := v.(string); ok && r.oneOf != nil && !slices.Contains(r.oneOf, s) {
		b.refusef(at, "must be one of %s, not %q: Helm refuses it", strings.Join(quoted(r.oneOf), ", "), s)
	}
	switch v := v.(type) {
	case Object:
		b.checkMap(v, r, at)
	case []any:
		for i, item := range v {
			if r.each != nil {
				b.check(item, *r.each, kubespawner.Index(at, i))
			}
		}
	}
}

func (b *builder) checkMap(o Object, r rule, at string) {
	for _, m := range o {
		here := kubespawner.Child(at, m.Key)
		below, known := r.keys[m.Key]
		switch {
		case known:
			b.check(m.Value, below, here)
		case r.each != nil && r.keys == nil:
			b.check(m.Value, *r.each, here)
		case !r.open:
			b.refusef(here, "the chart has no such value, and Helm refuses it%s", nearest(m.Key, r.keys))
		}
	}
	for _, key := range r.needs {
		if _, has := o.Get(key); !has {
			b.refusef(at, "needs %s: Helm refuses it without", key)
		}
	}
}

// typesOf are the letters of the types that a value has; a whole number is a number too.
func typesOf(v any) string {
	switch v.(type) {
	case nil:
		return "0"
	case string:
		return "s"
	case bool:
		return "b"
	case int64:
		return "in"
	case float64:
		return "n"
	case []any:
		return "l"
	}
	return "m"
}

func wanted(types string) string {
	var names []string
	for i := range len(types) {
		names = append(names, typeNames[types[i]])
	}
	return strings.Join(names, " or ")
}

func named(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 40 {
			return "text"
		}
		return fmt.Sprintf("the text %q", v)
	case nil, Object, []any:
		return typeNames[typesOf(v)[0]]
	}
	return fmt.Sprint(v)
}

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return out
}

// nearest guesses which key was meant.
func nearest(key string, keys map[string]rule) string {
	for _, known := range slices.Sorted(maps.Keys(keys)) {
		if strings.EqualFold(strings.ReplaceAll(key, "_", ""), known) || spelling.Alike(key, known) {
			return "; did you mean " + known + "?"
		}
	}
	return ""
}
