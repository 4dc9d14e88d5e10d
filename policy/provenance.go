package policy

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// note records what a layer sets, down to the keys that are merged one by one.
func (l *layer) note(origins map[string]Origin) {
	for _, setting := range slices.Sorted(maps.Keys(l.block.tree)) {
		value := l.block.tree[setting]
		keyed, ok := value.(tree)
		if !ok || definitions[setting].shape == plain {
			// A list or a scalar replaces all that was there, item by item or not.
			below := prefixed(origins, setting+"[")
			l.record(origins, setting, childOrKey(l.block.path, setting), setting, below)
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(keyed)) {
			l.record(origins, setting+"["+key+"]", childOrKey(l.block.path, setting).Key(key), setting, nil)
		}
	}
}

// prefixed takes the origins below a setting out and gives them.
func prefixed(origins map[string]Origin, prefix string) []Origin {
	var taken []Origin
	for _, k := range slices.Sorted(maps.Keys(origins)) {
		if strings.HasPrefix(k, prefix) {
			taken = append(taken, origins[k])
			delete(origins, k)
		}
	}
	return taken
}

func (l *layer) record(origins map[string]Origin, key string, path *field.Path, setting string, below []Origin) {
	o := Origin{Setting: key, Lands: definitions[setting].lands, Layer: l.name, Policy: l.policy}
	switch {
	case l.policy == nil:
	case l.name == layerExpression:
		o.Path = l.block.path.String()
	default:
		o.Path = path.String()
	}
	for _, weaker := range below {
		o.Overrode = append(o.Overrode, flat(weaker)...)
	}
	if weaker, has := origins[key]; has {
		o.Overrode = append(o.Overrode, flat(weaker)...)
	}
	origins[key] = o
}

// flat gives an origin and what it overrode as one list, strongest first.
func flat(o Origin) []Origin {
	older := o.Overrode
	o.Overrode = nil
	return append([]Origin{o}, older...)
}

// covers says whether the setting's path lies at or below what is unset.
func (p unsetPath) covers(setting string) bool {
	path := p.setting
	if len(p.keys) > 0 {
		path += "[" + p.keys[0] + "]"
	}
	return len(p.keys) <= 1 && (setting == path || strings.HasPrefix(setting, path+"["))
}

func sortedOrigins(origins map[string]Origin) []Origin {
	out := make([]Origin, 0, len(origins))
	for _, k := range slices.Sorted(maps.Keys(origins)) {
		out = append(out, origins[k])
	}
	return out
}
