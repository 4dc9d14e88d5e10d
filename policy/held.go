package policy

import (
	"maps"
	"slices"
)

// held has each thing that the cluster enforces as the cluster's own layers say it: merged with a namespace's, an init container
// would run with the arguments or the volumes of that namespace. A part of a thing leaves the rest to whoever says it.
func held(merged, cluster, enforced tree) tree {
	for _, setting := range slices.Sorted(maps.Keys(enforced)) {
		keyed, isMap := enforced[setting].(tree)
		s := definitions[setting].shape
		if !isMap || s != byName && s != byMountPath {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(keyed)) {
			if own, ok := keyedItem(cluster[setting], key, s); ok && isWhole(setting, own, s) {
				merged = maps.Clone(merged)
				merged[setting] = withItem(merged[setting], key, own, s)
			}
		}
	}
	return merged
}

// keyedItem finds the thing of a map's key, also where it was merged into a list.
func keyedItem(value any, key string, s shape) (tree, bool) {
	switch v := value.(type) {
	case tree:
		item, ok := v[key].(tree)
		return item, ok
	case []any:
		if at := position(v, key, s); at >= 0 {
			item, ok := v[at].(tree)
			return item, ok
		}
	}
	return nil, false
}

// isWhole: a container has an image, a volume a source, a mount a volume and a place.
func isWhole(setting string, item tree, s shape) bool {
	switch {
	case s == byMountPath:
		return identity(item, s) != ""
	case setting == "initContainers", setting == "extraContainers":
		return item["image"] != nil
	}
	return len(item) > 1 || item["name"] == nil && len(item) > 0
}

// withItem puts a thing in its place.
func withItem(value any, key string, item tree, s shape) any {
	if list, ok := value.([]any); ok {
		id := identity(named(item, key), s)
		at := slices.IndexFunc(list, func(v any) bool { t, ok := v.(tree); return ok && identity(t, s) == id })
		if at < 0 {
			return list
		}
		list = slices.Clone(list)
		list[at] = named(item, key)
		return list
	}
	keyed, _ := value.(tree)
	keyed = maps.Clone(keyed)
	keyed[key] = item
	return keyed
}
