package policy

import (
	"maps"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// said is who spoke of a place in the settings, and of the places below it: a tree of the form of the merged settings.
type said struct {
	// by are the layers that said something here or below, weakest first.
	by    []Origin
	below map[string]*said
	// order are the keys of a list's items; nil for a map, whose items stand in the order of their keys.
	order []string
	// list is the last word that was a list, and hides what that did away with, strongest first.
	list  *Origin
	hides []Origin
}

// word is what one layer says at one place.
type word struct {
	layer *layer
	// setting and path are the place, in the settings and in the policy.
	setting, path *field.Path
	private       bool
}

// at is the word on an item, or a field. Keys of settings that are maps of things stand in brackets.
func (w word) at(key, written string, isItem bool) word {
	below := word{layer: w.layer, setting: childOrKey(w.setting, key), path: childOrKey(w.path, written), private: w.private || isPrivate([]string{written})}
	if isItem {
		below.setting, below.path = w.setting.Key(key), w.path.Key(written)
	}
	below.path = w.in(below.path)
	return below
}

// in: all that an expression gives stands in the expression.
func (w word) in(path *field.Path) *field.Path {
	if w.layer.name == layerExpression {
		return w.layer.block.path
	}
	return path
}

func (w word) origin(value any) Origin {
	o := Origin{Setting: w.setting.String(), Layer: w.layer.name, Policy: w.layer.policy}
	if w.layer.policy != nil {
		o.Path = w.path.String()
	}
	if _, isMap := value.(tree); !isMap && !w.private {
		o.Value = textOf(value)
	}
	return o
}

func (s *said) key(name string) *said {
	if s.below == nil {
		s.below = map[string]*said{}
	}
	if s.below[name] == nil {
		s.below[name] = &said{}
	}
	return s.below[name]
}

// note puts a layer's value over what weaker ones said, by the rules of merging.
func (s *said) note(w word, value any, sh shape) {
	s.by = append(s.by, w.origin(value))
	switch v := value.(type) {
	case tree:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			name := key
			if s.order != nil {
				name = s.itemOf(v[key], key, sh)
			}
			isItem := sh != plain && !overlays[w.setting.String()]
			s.key(name).note(w.at(name, key, isItem), v[key], plain)
		}
	case []any:
		s.hide()
		if sh == plain || sh == mapping {
			return
		}
		s.order = []string{}
		for i, item := range v {
			name := strconv.Itoa(i)
			if t, ok := item.(tree); ok && sh != anonymous {
				name = identity(t, sh)
			}
			s.order = append(s.order, name)
			below := w.at(name, name, true)
			below.path = w.in(w.path.Index(i))
			s.key(name).note(below, item, plain)
		}
	default:
		s.below, s.order = nil, nil
	}
}

// hide does away with what was there: a list means exactly these.
func (s *said) hide() {
	var hidden []Origin
	for _, name := range s.items() {
		if below := s.below[name]; below != nil && s.list == nil {
			hidden = append(hidden, reversed(below.by)...)
		}
	}
	if s.list != nil {
		hidden = append(hidden, append([]Origin{*s.list}, s.hides...)...)
	}
	last := s.by[len(s.by)-1]
	s.list, s.hides, s.below, s.order = &last, hidden, nil, nil
}

// itemOf is the name under which a map's item is in a list.
func (s *said) itemOf(item any, key string, sh shape) string {
	name := key
	if t, ok := item.(tree); ok {
		name = identity(named(t, key), sh)
	}
	if !slices.Contains(s.order, name) {
		s.order = append(s.order, name)
	}
	return name
}

// items are the names of what a setting holds, in the order in which it stands in the pod.
func (s *said) items() []string {
	if s.order != nil {
		return s.order
	}
	return slices.Sorted(maps.Keys(s.below))
}

// take removes what an unset path names.
func (s *said) take(keys []string) {
	if len(keys) == 1 {
		delete(s.below, keys[0])
		if at := slices.Index(s.order, keys[0]); at >= 0 {
			s.order = slices.Delete(slices.Clone(s.order), at, at+1)
		}
		return
	}
	if below := s.below[keys[0]]; below != nil {
		below.take(keys[1:])
	}
}

// keep leaves only what the cluster's own layers said.
func (s *said) keepClusters() {
	s.by = slices.DeleteFunc(s.by, func(o Origin) bool { return o.Policy != nil && o.Policy.Namespace != "" })
	for key, below := range s.below {
		if below.keepClusters(); len(below.by) == 0 {
			delete(s.below, key)
		}
	}
}

// at gives who spoke of a place, or of the nearest one above it that anybody spoke of, strongest last.
func (s *said) at(keys []string) []Origin {
	found := s.by
	for _, key := range keys {
		if s = s.below[key]; s == nil {
			break
		}
		found = s.by
	}
	return found
}

// leaves are the origins of what is written, with nothing below it.
func (s *said) leaves(keys []string, add func(keys []string, by []Origin)) {
	if len(s.below) == 0 && len(keys) > 0 {
		add(keys, s.by)
	}
	for _, key := range s.items() {
		if s.below[key] != nil {
			s.below[key].leaves(append(slices.Clone(keys), key), add)
		}
	}
}

// whoSaid merges layers again, weakest first, and notes who said what.
func whoSaid(layers []layer) *said {
	root, merged, cluster := &said{}, tree{}, tree{}
	for i := range layers {
		l := &layers[i]
		for _, u := range l.block.unset {
			root.unset(u, merged)
		}
		for _, setting := range slices.Sorted(maps.Keys(l.block.tree)) {
			path := childOrKey(l.block.path, setting)
			w := word{layer: l, setting: field.NewPath(setting), path: path, private: isPrivate([]string{setting})}
			w.path = w.in(path)
			root.key(setting).note(w, l.block.tree[setting], definitions[setting].shape)
		}
		merged, _ = l.over(merged) // its errors are the plan's
		if l.policy == nil || l.policy.Namespace == "" {
			cluster, _ = l.over(cluster)
		}
		if l.name == layerClusterEnforced {
			root.held(cluster, l.block.tree)
		}
	}
	return root
}

func (s *said) unset(u unsetPath, merged tree) {
	if len(u.keys) == 0 {
		delete(s.below, u.setting)
		return
	}
	setting := s.below[u.setting]
	if setting == nil {
		return
	}
	for _, key := range keysOf(merged[u.setting], u.keys[0], definitions[u.setting].shape) {
		setting.take(slices.Concat([]string{key}, u.keys[1:]))
	}
}

// held is what the function held does to the settings.
func (s *said) held(cluster, enforced tree) {
	for setting, value := range enforced {
		keyed, isMap := value.(tree)
		sh := definitions[setting].shape
		if !isMap || sh != byName && sh != byMountPath {
			continue
		}
		for key, item := range keyed {
			own, ok := keyedItem(cluster[setting], key, sh)
			if !ok || !isWhole(setting, own, sh) {
				continue
			}
			name := key
			if s.below[setting].order != nil {
				name = s.below[setting].itemOf(item, key, sh)
			}
			if below := s.below[setting].below[name]; below != nil {
				below.keepClusters()
			}
		}
	}
}

// provenance is the list form of who said what.
func (s *said) provenance() []Origin {
	var all []Origin
	s.leaves(nil, func(keys []string, by []Origin) {
		if o := blamedOn(by); o != nil {
			o.Lands = definitions[keys[0]].lands
			all = append(all, *o)
		}
	})
	return all
}

// blamedOn is the strongest of these origins, with the others as what it overrode; nil for none.
func blamedOn(by []Origin) *Origin {
	if len(by) == 0 {
		return nil
	}
	o := by[len(by)-1]
	o.Overrode = reversed(by[:len(by)-1])
	return &o
}

func reversed(by []Origin) []Origin {
	if len(by) == 0 {
		return nil
	}
	by = slices.Clone(by)
	slices.Reverse(by)
	return by
}
