package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// unsetPath is one entry of an unset list: the setting, then the keys below it.
type unsetPath struct {
	setting string
	keys    []string
}

var errNoPath = errors.New("must be a setting's path like environment[DEBUG]")

// parseUnset reads nodeSelector, environment[DEBUG], volumes[home].persistentVolumeClaim and the like.
func parseUnset(text string) (unsetPath, error) {
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	if end == 0 && text != "" {
		return unsetPath{}, errNoPath
	}
	p := unsetPath{setting: text[:end]}
	for rest := text[end:]; rest != ""; {
		key, after, err := firstKey(rest)
		if err != nil {
			return p, err
		}
		p.keys = append(p.keys, key)
		rest = after
	}
	if _, known := definitions[p.setting]; !known {
		return p, fmt.Errorf("no setting is called %q%s", p.setting, DidYouMean(p.setting, slices.Collect(maps.Keys(definitions))))
	}
	return p, nil
}

// firstKey takes [key] or .key from the front of a path.
func firstKey(path string) (key, rest string, err error) {
	switch path[0] {
	case '[':
		var closed bool
		if key, rest, closed = strings.Cut(path[1:], "]"); !closed {
			return "", "", errNoPath
		}
	case '.':
		end := strings.IndexAny(path[1:], ".[")
		if end < 0 {
			end = len(path) - 1
		}
		key, rest = path[1:end+1], path[end+1:]
	default:
		return "", "", errNoPath
	}
	if key == "" {
		return "", "", errors.New("has an empty part: must be a setting's path like environment[DEBUG]")
	}
	return key, rest, nil
}

// parseUnsets reads a block's unset list.
func parseUnsets(list []string, path *field.Path) ([]unsetPath, field.ErrorList) {
	var parsed []unsetPath
	var errs field.ErrorList
	for i, text := range list {
		p, err := parseUnset(text)
		if err != nil {
			errs = append(errs, field.Invalid(path.Index(i), text, err.Error()))
			continue
		}
		parsed = append(parsed, p)
	}
	return parsed, errs
}

// checkEnforcedUnset refuses what can't be kept away: nothing tells one toleration or affinity term that is gone from another
// that a namespace adds.
func checkEnforcedUnset(list []unsetPath, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, p := range list {
		if definitions[p.setting].shape == anonymous && len(p.keys) > 0 {
			errs = append(errs, field.Invalid(path, p.setting+"["+p.keys[0]+"]",
				"its items have no name, so one of them can't be kept away: unset "+p.setting+" as a whole, or enforce a list, which means exactly these"))
		}
	}
	return errs
}

// take gives t without what p names; what isn't there needn't be taken away.
func (p unsetPath) take(t tree) tree {
	if len(p.keys) == 0 {
		t = maps.Clone(t)
		delete(t, p.setting)
		return t
	}
	v, has := t[p.setting]
	if !has {
		return t
	}
	s := definitions[p.setting].shape
	t = maps.Clone(t)
	for _, key := range keysOf(v, p.keys[0], s) {
		v = takeKeys(v, slices.Concat([]string{key}, p.keys[1:]), s)
	}
	t[p.setting] = v
	return t
}

// keysOf are the keys under which a setting has what an unset path names: a map's key, or the keys of items that are the same
// thing.
func keysOf(value any, name string, s shape) []string {
	keyed, ok := value.(tree)
	if !ok || s != byName && s != byMountPath {
		return []string{name}
	}
	var keys []string
	for key, v := range keyed {
		item, ok := v.(tree)
		if key == name || ok && identity(named(item, key), s) == identityText(name, s) {
			keys = append(keys, key)
		}
	}
	return keys
}

func takeKeys(value any, keys []string, s shape) any {
	switch v := value.(type) {
	case tree:
		below, has := v[keys[0]]
		if !has {
			return v
		}
		v = maps.Clone(v)
		if len(keys) == 1 {
			delete(v, keys[0])
		} else {
			v[keys[0]] = takeKeys(below, keys[1:], byName)
		}
		return v
	case []any:
		at := position(v, keys[0], s)
		if at < 0 {
			return v
		}
		v = slices.Clone(v)
		if len(keys) == 1 {
			return slices.Delete(v, at, at+1)
		}
		v[at] = takeKeys(v[at], keys[1:], byName)
		return v
	}
	return value
}

// position finds an item of a list by identity, or by number where it has none.
func position(list []any, key string, s shape) int {
	id := identityText(key, s)
	at := slices.IndexFunc(list, func(item any) bool { t, ok := item.(tree); return ok && identity(t, s) == id })
	if at >= 0 {
		return at
	}
	if n, ok := indexOf(key); ok && n < len(list) {
		return n
	}
	return -1
}
