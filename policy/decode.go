package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// blockTree gives a block's settings as plain JSON, without its unset.
func blockTree(b *v1alpha1.Settings) (tree, error) {
	if b == nil {
		return tree{}, nil
	}
	data, err := json.Marshal(b.Server)
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	t := tree{}
	if err := utiljson.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("decode settings: %w", err)
	}
	return t, nil
}

// decodeSettings reads a tree into settings, strictly: Kubernetes drops a misspelt field without a word, so here it
// is an error that names its path.
func decodeSettings(t tree, path *field.Path) (*settings, field.ErrorList) {
	s := &settings{}
	v := reflect.ValueOf(s).Elem()
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(t)) {
		at, known := settingFields[name]
		if !known {
			errs = append(errs, field.Invalid(path.Child(name), name, "unknown field"+DidYouMean(name, slices.Collect(maps.Keys(settingFields)))))
			continue
		}
		errs = append(errs, decodeSetting(v.Field(at), name, t[name], path.Child(name))...)
	}
	return s, errs
}

// settingFields has the index of each field of settings by its JSON name.
var settingFields = jsonFields(reflect.TypeFor[settings]())

func jsonFields(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = i
		}
	}
	return fields
}

func decodeSetting(into reflect.Value, name string, value any, path *field.Path) field.ErrorList {
	if errs := nulls(value, path); len(errs) > 0 {
		return errs
	}
	switch def := definitions[name]; {
	case name == "environment":
		return decodeEnvironment(into, value, path)
	case name == "imagePullSecrets":
		return decodePullSecrets(into, value, path)
	case def.shape == byName, def.shape == byMountPath, def.shape == anonymous:
		return decodeItems(into, value, def.shape, path)
	}
	if into.Kind() == reflect.Struct {
		if keys := into.FieldByName("Keys"); keys.IsValid() {
			return decodeOverlay(into, keys, value, path)
		}
	}
	return decodeStrict(into, value, path)
}

func decodeItems(into reflect.Value, value any, s shape, path *field.Path) field.ErrorList {
	items, paths, errs := asList(value, s, path)
	_, isList := value.([]any)
	list := reflect.MakeSlice(into.Type(), len(items), len(items))
	for i, item := range items {
		if _, isObject := item.(tree); !isObject {
			continue // asList has said so
		}
		faults := decodeStrict(list.Index(i), item, paths[i])
		errs = append(errs, faults...)
		// An item of a map may be a part, for a weaker layer's item of that key: see checkComplete.
		if t, ok := item.(tree); ok && len(faults) == 0 && isList && s != anonymous && identity(t, s) == "" {
			errs = append(errs, identityRequired(s, paths[i]))
		}
	}
	into.Set(list)
	return errs
}

func identityRequired(s shape, path *field.Path) *field.Error {
	if s == byMountPath {
		return field.Required(path.Child("mountPath"), "say where it is mounted, like /home/jovyan")
	}
	return field.Required(path.Child("name"), "give it a name, by which it is known to other layers")
}

// checkComplete finds the items of maps that are still without an identity when all layers are merged.
func checkComplete(merged tree) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		keyed, isMap := merged[name].(tree)
		s := definitions[name].shape
		if !isMap || s != byName && s != byMountPath {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(keyed)) {
			if item, ok := keyed[key].(tree); ok && identity(named(item, key), s) == "" {
				errs = append(errs, identityRequired(s, field.NewPath(name).Key(key)))
			}
		}
	}
	return errs
}

func decodeOverlay(into, keys reflect.Value, value any, path *field.Path) field.ErrorList {
	t, ok := value.(tree)
	if !ok {
		return field.ErrorList{field.TypeInvalid(path, value, "must be an object")}
	}
	keys.Set(reflect.ValueOf(slices.Sorted(maps.Keys(t))))
	return decodeStrict(into.FieldByName("Value"), value, path)
}

func decodeEnvironment(into reflect.Value, value any, path *field.Path) field.ErrorList {
	t, ok := value.(tree)
	if !ok {
		return field.ErrorList{field.TypeInvalid(path, value, "must be a map of variable names")}
	}
	var errs field.ErrorList
	env := reflect.MakeMap(into.Type())
	first := map[string]*field.Path{}
	for _, key := range slices.Sorted(maps.Keys(t)) {
		at := path.Key(key)
		entry := reflect.New(into.Type().Elem()).Elem()
		switch v := t[key].(type) {
		case string:
			errs = append(errs, decodeStrict(entry, tree{"name": key, "value": v}, at)...)
		case tree:
			errs = append(errs, decodeStrict(entry, named(v, key), at)...)
			if v["value"] != nil && v["valueFrom"] != nil {
				errs = append(errs, field.Invalid(at, "", "has value and valueFrom: a variable has one of them; take the other away with unset"))
			}
		default:
			errs = append(errs, field.TypeInvalid(at, v, "must be text (write \"1\" or \"true\" in quotes), or an object with value or valueFrom"))
			continue
		}
		if name := entry.FieldByName("Name").String(); first[name] != nil {
			errs = append(errs, field.Invalid(at, name, fmt.Sprintf("the same variable as %s", first[name])))
		} else {
			first[name] = at
		}
		env.SetMapIndex(reflect.ValueOf(key), entry)
	}
	into.Set(env)
	return errs
}

func decodePullSecrets(into reflect.Value, value any, path *field.Path) field.ErrorList {
	list, ok := value.([]any)
	if !ok {
		return field.ErrorList{field.TypeInvalid(path, value, "must be a list of Secret names")}
	}
	var errs field.ErrorList
	refs := reflect.MakeSlice(into.Type(), len(list), len(list))
	for i, item := range list {
		if name, ok := item.(string); ok {
			item = tree{"name": name}
		}
		errs = append(errs, decodeStrict(refs.Index(i), item, path.Index(i))...)
	}
	into.Set(refs)
	return errs
}

// decodeStrict reads one fragment into its Kubernetes type; names are case-sensitive, and unknown ones refused.
func decodeStrict(into reflect.Value, value any, path *field.Path) field.ErrorList {
	data, err := json.Marshal(value)
	if err != nil {
		return field.ErrorList{field.Invalid(path, value, err.Error())}
	}
	strict, err := sigsjson.UnmarshalStrict(data, into.Addr().Interface())
	if err != nil {
		return misfits(value, into.Type(), path)
	}
	errs := farQuantities(data, into, path)
	for _, e := range strict {
		errs = append(errs, strictError(e, into.Type(), path))
	}
	return errs
}

// strictError says where the unknown field stands, and which of its neighbours was probably meant.
func strictError(err error, t reflect.Type, path *field.Path) *field.Error {
	if doubled, is := quotedIn(err, "duplicate field "); is {
		return field.Invalid(below(path, doubled), lastOf(doubled), "stands here twice, and only one of the two would count: take one out")
	}
	name, hint := unknownField(err, t)
	if name == "" {
		return field.Invalid(path, "", err.Error())
	}
	return field.Invalid(below(path, name), lastOf(name), "unknown field"+hint)
}

// below adds names to a path, which may be nil.
func below(path *field.Path, names string) *field.Path {
	if path == nil {
		return field.NewPath(names)
	}
	return path.Child(names)
}

func lastOf(names string) string { return names[strings.LastIndexByte(names, '.')+1:] }

// quotedIn gives what a strict error names after its kind.
func quotedIn(err error, kind string) (string, bool) {
	quoted, is := strings.CutPrefix(err.Error(), kind+`"`)
	return strings.TrimSuffix(quoted, `"`), is
}

// unknownField gives the path that a strict error names, and a guess at what was meant. It is empty for another error.
func unknownField(err error, t reflect.Type) (name, hint string) {
	quoted, is := quotedIn(err, "unknown field ")
	if !is {
		return "", ""
	}
	names := strings.Split(quoted, ".")
	for _, n := range names[:len(names)-1] {
		t = typeOfField(t, n)
	}
	if t = dereferenced(t); t != nil && t.Kind() == reflect.Struct {
		hint = DidYouMean(lastOf(quoted), slices.Collect(maps.Keys(allJSONFields(t))))
	}
	return quoted, hint
}

// typeOfField gives the type of a field, by its name in JSON, with an index or without.
func typeOfField(t reflect.Type, name string) reflect.Type {
	name, _, indexed := strings.Cut(name, "[")
	t = dereferenced(t)
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	at, ok := allJSONFields(t)[name]
	if !ok {
		return nil
	}
	ft := dereferenced(t.FieldByIndex(at).Type)
	if indexed && ft.Kind() == reflect.Slice {
		return ft.Elem()
	}
	if ft.Kind() == reflect.Map {
		return ft.Elem()
	}
	return ft
}

func dereferenced(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// allJSONFields has the fields of t and of what it embeds, by JSON name.
func allJSONFields(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f.Index
		}
	}
	return fields
}

// abridged keeps an error readable, and what stands in a policy out of logs.
func abridged(data []byte) string {
	const limit = 60
	if len(data) <= limit {
		return string(data)
	}
	return string(data[:limit]) + "…"
}
