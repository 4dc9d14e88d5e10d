package policy

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	sigsjson "sigs.k8s.io/json"
)

// misfits finds the values that aren't of their type, each with its path. Decoding itself stops at the first one, and names it in
// terms of Go or, for a quantity, not at all.
func misfits(value any, t reflect.Type, path *field.Path) field.ErrorList {
	data, err := json.Marshal(value)
	if err != nil {
		return field.ErrorList{field.Invalid(path, "", err.Error())}
	}
	if _, err := sigsjson.UnmarshalStrict(data, reflect.New(t).Interface()); err == nil {
		return nil
	}
	var errs field.ErrorList
	switch v := value.(type) {
	case tree:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if below := typeBelow(t, key); below != nil {
				errs = append(errs, misfits(v[key], below, childOrKey(path, key))...)
			}
		}
	case []any:
		if t := dereferenced(t); t.Kind() == reflect.Slice {
			for i, item := range v {
				errs = append(errs, misfits(item, t.Elem(), path.Index(i))...)
			}
		}
	}
	if len(errs) == 0 {
		if text, isText := value.(string); isText {
			data = []byte(text)
		}
		return field.ErrorList{field.Invalid(path, abridged(data), "must be "+inWords(dereferenced(t)))}
	}
	return errs
}

// typeBelow is the type of a key of a struct or map; nil for any other type and for an unknown field.
func typeBelow(t reflect.Type, key string) reflect.Type {
	switch t = dereferenced(t); t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
		if index, known := allJSONFields(t)[key]; known {
			return t.FieldByIndex(index).Type
		}
	default:
	}
	return nil
}

// inWords is a type as a person says it who writes YAML.
func inWords(t reflect.Type) string {
	if t == quantityType {
		return "a quantity such as 2, 500m or 4Gi"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a map"
	default:
		return "a value of type " + t.String()
	}
}
