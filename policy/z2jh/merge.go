package z2jh

import (
	"cmp"
	"slices"
	"unicode"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

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
		out := sortedByHelm(v)
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

// sortedByHelm sorts as Helm's toYaml does, which reads digits as numbers: mem_8 stands before mem_16.
func sortedByHelm(o Object) Object {
	out := slices.Clone(o)
	slices.SortStableFunc(out, func(a, b kubespawner.Member) int { return compareInHelm([]rune(a.Key), []rune(b.Key)) })
	return out
}

// compareInHelm decides by the first place where the keys differ: letters by their code, anything else before a letter, and
// numbers by their size.
func compareInHelm(a, b []rune) int {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	if at == len(a) || at == len(b) {
		return cmp.Compare(len(a), len(b))
	}
	switch aLetter, bLetter := unicode.IsLetter(a[at]), unicode.IsLetter(b[at]); {
	case aLetter && bLetter:
		return cmp.Compare(a[at], b[at])
	case aLetter:
		return 1
	case bLetter:
		return -1
	}
	sizeA, lengthA := numberAt(a, at)
	sizeB, lengthB := numberAt(b, at)
	if (a[at] == '0' || b[at] == '0') && insideNumber(a[:at]) {
		// The zero is no leading one, so that both have as many digits before it.
		sizeA, sizeB = numberAfter(1, a[at:at+lengthA]), numberAfter(1, b[at:at+lengthB])
	}
	return cmp.Or(cmp.Compare(sizeA, sizeB), cmp.Compare(lengthA, lengthB), cmp.Compare(a[at], b[at]))
}

// numberAt is the number whose digits begin at a place, and how many they are.
func numberAt(key []rune, at int) (size int64, length int) {
	for at+length < len(key) && unicode.IsDigit(key[at+length]) {
		length++
	}
	return numberAfter(0, key[at:at+length]), length
}

func numberAfter(size int64, digits []rune) int64 {
	for _, d := range digits {
		size = size*10 + int64(d-'0')
	}
	return size
}

// insideNumber says whether the digits at the end of a key's beginning are more than zeros.
func insideNumber(before []rune) bool {
	for _, r := range slices.Backward(before) {
		switch {
		case !unicode.IsDigit(r):
			return false
		case r != '0':
			return true
		}
	}
	return false
}
