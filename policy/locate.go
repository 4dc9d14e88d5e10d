package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// locator finds where in the policies a piece of merged settings was written.
type locator struct {
	said   *said
	merged tree
	// expand fills in the templates of a name; nil: none is filled in.
	expand func(text string) string
}

func newLocator(layers []layer, merged tree) *locator {
	return &locator{said: whoSaid(layers), merged: merged}
}

// origin is the strongest policy's word on a place that some layer spoke of.
func (l *locator) origin(keys ...string) (Origin, bool) {
	s := l.said
	for _, key := range keys {
		if s = s.below[key]; s == nil {
			return Origin{}, false
		}
	}
	o := s.by[len(s.by)-1]
	return o, o.Policy != nil
}

// locatedDenials blames errors of merged settings on the policies that wrote the values; an error's path begins at the settings
// there. What no policy wrote keeps its path.
func locatedDenials(layers []layer, merged tree, errs field.ErrorList) []Denial {
	if len(errs) == 0 {
		return nil
	}
	l := newLocator(layers, merged)
	denials := make([]Denial, 0, len(errs))
	for _, e := range errs {
		body := e.ErrorBody()
		if other, found := between(body, sameThingAs, ": "); found {
			if ref, path, known := l.path(other); known {
				body = strings.Replace(body, sameThingAs+other, sameThingAs+ref.String()+", "+path, 1)
			}
		}
		ref, path, known := l.path(e.Field)
		if !known {
			path = e.Field
		}
		denials = append(denials, denyf(PolicyInvalid, ref, path, "%s", body))
	}
	return denials
}

func between(text, before, after string) (string, bool) {
	_, rest, found := strings.Cut(text, before)
	if !found {
		return "", false
	}
	inner, _, found := strings.Cut(rest, after)
	if !found {
		return "", false
	}
	return inner, true
}

// path finds who wrote what stands at a path in the merged settings, and where.
func (l *locator) path(at string) (*PolicyRef, string, bool) {
	end := strings.IndexAny(at, ".[")
	if end < 0 {
		end = len(at)
	}
	setting, rest := at[:end], at[end:]
	if rest != "" {
		if key, below, err := firstKey(rest); err == nil {
			if o, has := l.origin(setting, key); has {
				return o.Policy, o.Path + below, true
			}
			if list, isList := l.merged[setting].([]any); isList {
				return l.listItem(setting, list, key, below)
			}
		}
	}
	if o, has := l.origin(setting); has {
		return o.Policy, o.Path + rest, true
	}
	return nil, "", false
}

// listItem finds an item by its place in a merged list: it stands in the list that somebody wrote, or was merged into it by key.
func (l *locator) listItem(setting string, list []any, index, below string) (*PolicyRef, string, bool) {
	n, ok := indexOf(index)
	if !ok || n >= len(list) {
		return nil, "", false
	}
	if item, isObject := list[n].(tree); isObject {
		id := identity(item, definitions[setting].shape)
		if o, has := l.origin(setting, id); has && id != "" {
			return o.Policy, o.Path + below, true
		}
	}
	if o, has := l.origin(setting); has {
		return o.Policy, o.Path + "[" + index + "]" + below, true
	}
	return nil, "", false
}

// overlays are the settings whose keys are fields of a Kubernetes type.
var overlays = map[string]bool{"containerSecurityContext": true, "extraContainerConfig": true, "extraPodConfig": true, "podSecurityContext": true}

// source names a piece of the settings that a piece of the pod comes from.
type source struct {
	setting string
	// key is the identity of one thing of it, or the key of a map; "" is the whole setting.
	key string
	// rest is the path below that.
	rest string
}

// find gives the place of a source that some policy wrote.
func (l *locator) find(s source) (*PolicyRef, string, bool) {
	if s.key == "" {
		if o, has := l.origin(s.setting); has {
			return o.Policy, o.Path + s.rest, true
		}
		return nil, "", false
	}
	shape := definitions[s.setting].shape
	switch v := l.merged[s.setting].(type) {
	case tree:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if l.isItem(v[key], key, shape, s) {
				at := "[" + key + "]"
				if overlays[s.setting] {
					at = "." + key
				}
				return l.path(s.setting + at + s.rest)
			}
		}
	case []any:
		if i := slices.IndexFunc(v, func(item any) bool {
			t, isObject := item.(tree)
			return isObject && shape != anonymous && l.expanded(identity(t, shape)) == s.key
		}); i >= 0 {
			return l.path(fmt.Sprintf("%s[%d]%s", s.setting, i, s.rest))
		}
		if shape == anonymous {
			return l.path(s.setting + "[" + s.key + "]" + s.rest)
		}
	}
	return nil, "", false
}

// isItem says whether the value of a map's key is what a source names.
func (l *locator) isItem(value any, key string, shape shape, s source) bool {
	item, isObject := value.(tree)
	switch shape {
	case byName, byMountPath:
		return isObject && l.expanded(identity(named(item, key), shape)) == s.key
	case anonymous:
		at := slices.Index(slices.Sorted(maps.Keys(l.merged[s.setting].(tree))), key)
		return strconv.Itoa(at) == s.key
	case plain, mapping:
	}
	if name, has := item["name"].(string); has && s.setting == "environment" {
		return l.expanded(name) == s.key
	}
	return key == s.key
}

func (l *locator) expanded(text string) string {
	if l.expand == nil {
		return text
	}
	return l.expand(text)
}
