package z2jh

// overlaid puts one values file over an earlier one, as Helm does: maps merge, anything else replaces, null too.
func overlaid(earlier, later Object) Object {
	out := earlier
	for _, m := range later {
		old, has := out.Get(m.Key)
		oldMap, wasMap := old.(Object)
		newMap, isMap := m.Value.(Object)
		if has && wasMap && isMap {
			out = out.With(m.Key, overlaid(oldMap, newMap))
			continue
		}
		out = out.With(m.Key, m.Value)
	}
	return out
}

// overDefaults puts values over the chart's own: a null takes a default away, and stays where there is none.
func overDefaults(values, defaults Object) Object {
	out := values
	for _, d := range defaults {
		v, has := out.Get(d.Key)
		valueMap, isMap := v.(Object)
		defaultMap, wasMap := d.Value.(Object)
		switch {
		case !has:
			out = out.With(d.Key, d.Value)
		case v == nil:
			out = out.Without(d.Key)
		case isMap && wasMap:
			out = out.With(d.Key, overDefaults(valueMap, defaultMap))
		}
	}
	return out
}

// bySecret sorts every map by its keys, as Helm does where it writes the values into the hub's Secret. So the order of a
// profile's options and choices in the file says nothing.
func bySecret(v any) any {
	switch v := v.(type) {
	case Object:
		out := sortedByKey(v)
		for i := range out {
			out[i].Value = bySecret(out[i].Value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = bySecret(item)
		}
		return out
	}
	return v
}
