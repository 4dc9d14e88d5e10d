package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// tree is a block of settings as plain JSON: what is there was said, what isn't wasn't. Merging works on it, so one
// rule serves every setting. A tree that was built is never changed again.
type tree = map[string]any

// mergeSettings puts one block of settings over weaker ones: a map over a map merges recursively, a list over
// anything replaces it, a map over a list of named things merges by their identity.
func mergeSettings(weaker, block tree, path *field.Path) (tree, field.ErrorList) {
	var errs field.ErrorList
	merged := maps.Clone(weaker)
	if merged == nil {
		merged = tree{}
	}
	for _, name := range slices.Sorted(maps.Keys(block)) {
		over := block[name]
		list, listBelow := merged[name].([]any)
		keyed, isMap := over.(tree)
		shape := definitions[name].shape
		if listBelow && isMap && shape != plain && shape != mapping {
			v, err := mergeIntoList(list, keyed, shape, path.Child(name))
			errs = append(errs, err...)
			merged[name] = v
			continue
		}
		merged[name] = mergeValue(merged[name], over)
	}
	return merged, errs
}

// mergeValue is the rule for everything below a setting.
func mergeValue(weaker, over any) any {
	o, ok := over.(tree)
	if !ok {
		return over
	}
	w, ok := weaker.(tree)
	if !ok {
		return over
	}
	merged := maps.Clone(w)
	for k, v := range o {
		merged[k] = mergeValue(merged[k], v)
	}
	return merged
}

// weakerLayer stands in an error for the policy and path that plan.merge knows, and sameThingAs before the first of two.
const (
	weakerLayer = "a weaker layer"
	sameThingAs = "the same thing as "
)

// mergeIntoList merges a map of things into a list of them: the list keeps its order, what is new is appended in
// the order of the keys.
func mergeIntoList(list []any, keyed tree, s shape, path *field.Path) ([]any, field.ErrorList) {
	if s == anonymous {
		return list, field.ErrorList{field.Invalid(path, "map",
			weakerLayer+" gives a list, and its items have no name to merge by: write a list, which replaces it, or a map in both")}
	}
	var errs field.ErrorList
	merged := slices.Clone(list)
	for _, key := range slices.Sorted(maps.Keys(keyed)) {
		item, ok := keyed[key].(tree)
		if !ok {
			errs = append(errs, field.TypeInvalid(path.Key(key), keyed[key], "must be an object"))
			continue
		}
		item = named(item, key)
		id := identity(item, s)
		at := slices.IndexFunc(merged, func(v any) bool { w, ok := v.(tree); return ok && identity(w, s) == id })
		if at < 0 {
			merged = append(merged, item)
			continue
		}
		merged[at] = mergeValue(merged[at], item)
	}
	return merged, errs
}

// named gives the item its key as name, unless it has one.
func named(item tree, key string) tree {
	if _, has := item["name"]; has {
		return item
	}
	item = maps.Clone(item)
	item["name"] = key
	return item
}

// identity is what makes two items the same thing: the name, or for mounts the path.
func identity(item tree, s shape) string {
	if s == byMountPath {
		at, _ := item["mountPath"].(string)
		return identityText(at, s)
	}
	id, _ := item["name"].(string)
	return id
}

// identityText is an identity that was written by itself, as in an unset path.
func identityText(text string, s shape) string {
	if s == byMountPath {
		return cleanPath(text)
	}
	return text
}

// allNamed gives every item of a block the name that its key stands for: the one that below has for it, or the key itself.
func allNamed(block, below tree) tree {
	all := maps.Clone(block)
	for setting, value := range block {
		keyed, ok := value.(tree)
		if shape := definitions[setting].shape; !ok || shape != byName && shape != byMountPath && setting != "environment" {
			continue
		}
		weaker, _ := below[setting].(tree)
		items := maps.Clone(keyed)
		for key, v := range keyed {
			item, ok := v.(tree)
			if !ok {
				continue
			}
			name := key
			if w, ok := weaker[key].(tree); ok {
				name, _ = named(w, key)["name"].(string)
			}
			items[key] = named(item, name)
		}
		all[setting] = items
	}
	return all
}

// asList gives a list setting its final form: a map's items in the order of their keys, named by them. Two items of
// one identity are refused, naming both.
func asList(value any, s shape, path *field.Path) ([]any, []*field.Path, field.ErrorList) {
	var items []any
	var paths []*field.Path
	var errs field.ErrorList
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			items = append(items, item)
			paths = append(paths, path.Index(i))
		}
	case tree:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			item, ok := v[key].(tree)
			if ok && s != anonymous {
				item = named(item, key)
			}
			if !ok {
				items = append(items, v[key])
			} else {
				items = append(items, item)
			}
			paths = append(paths, path.Key(key))
		}
	default:
		return nil, nil, field.ErrorList{field.TypeInvalid(path, value, "must be a list, or a map of its items")}
	}
	errs = append(errs, doubled(items, paths, s)...)
	return items, paths, errs
}

func doubled(items []any, paths []*field.Path, s shape) field.ErrorList {
	var errs field.ErrorList
	first := map[string]*field.Path{}
	for i, item := range items {
		t, ok := item.(tree)
		if !ok {
			errs = append(errs, field.TypeInvalid(paths[i], item, "must be an object"))
			continue
		}
		if s == anonymous {
			continue
		}
		id := identity(t, s)
		if before, has := first[id]; has && id != "" {
			errs = append(errs, field.Invalid(paths[i], id, fmt.Sprintf(sameThingAs+"%s: give it another name, or merge the two", before)))
			continue
		}
		first[id] = paths[i]
	}
	return errs
}

// nulls finds every null: it would read as "no opinion" to one tool and as "take it away" to another.
func nulls(value any, path *field.Path) field.ErrorList {
	switch v := value.(type) {
	case nil:
		return field.ErrorList{field.Invalid(path, nil, "null is not a value here: leave the field out, or name it in the block's unset to take a weaker layer's value away")}
	case tree:
		var errs field.ErrorList
		for _, k := range slices.Sorted(maps.Keys(v)) {
			errs = append(errs, nulls(v[k], childOrKey(path, k))...)
		}
		return errs
	case []any:
		var errs field.ErrorList
		for i, item := range v {
			errs = append(errs, nulls(item, path.Index(i))...)
		}
		return errs
	}
	return nil
}

// childOrKey writes a map's key as .key where it reads like a field, and as [key] where it doesn't.
func childOrKey(path *field.Path, key string) *field.Path {
	for _, r := range key {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return path.Key(key)
		}
	}
	if path == nil {
		return field.NewPath(key)
	}
	return path.Child(key)
}

func indexOf(key string) (int, bool) {
	n, err := strconv.Atoi(key)
	return n, err == nil && n >= 0
}
