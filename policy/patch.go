package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Patch gives the JSON patch (RFC 6902) that makes of raw, which decodes to before, a pod that decodes to after.
//
// It is small and loses nothing: a pod may have fields that are newer than our types. They stay as they are, beside whatever is
// changed, added or removed, and go only with the object that they stand in. The patch always applies to raw, which may leave
// out what our encoding always writes, or write what it leaves out.
func Patch(raw []byte, before, after *corev1.Pod) ([]byte, error) {
	document, err := decodeExactly(raw)
	if err != nil {
		return nil, fmt.Errorf("read the pod: %w", err)
	}
	was, err := encodeExactly(before)
	if err != nil {
		return nil, err
	}
	is, err := encodeExactly(after)
	if err != nil {
		return nil, err
	}
	p := patcher{operations: []operation{}}
	p.change("", document, was, is)
	patch, err := json.Marshal(p.operations)
	if err != nil {
		return nil, fmt.Errorf("encode the patch: %w", err)
	}
	return patch, nil
}

// operation is one of RFC 6902. A removal has no value; null is one.
type operation struct {
	Op    string           `json:"op"`
	Path  string           `json:"path"`
	Value *json.RawMessage `json:"value,omitempty"`
}

// decodeExactly keeps numbers as they are written.
func decodeExactly(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

func encodeExactly(pod *corev1.Pod) (any, error) {
	data, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode the pod: %w", err)
	}
	return decodeExactly(data)
}

type patcher struct{ operations []operation }

func (p *patcher) add(op, path string, value any) {
	o := operation{Op: op, Path: path}
	if op != "remove" {
		o.Value = new(json.RawMessage(asJSON(value)))
	}
	p.operations = append(p.operations, o)
}

// change makes of the value at a path, which is raw and decodes to was, one that decodes to is. It gives the new value.
func (p *patcher) change(path string, raw, was, is any) any {
	if reflect.DeepEqual(was, is) {
		return raw
	}
	switch is := is.(type) {
	case tree:
		if raw, ok := raw.(tree); ok {
			was, _ := was.(tree)
			return p.changeMembers(path, raw, was, is)
		}
	case []any:
		raw, ok := raw.([]any)
		if was, _ := was.([]any); ok && len(was) == len(raw) {
			return p.changeItems(path, raw, was, is)
		}
	}
	p.add("replace", path, is)
	return is
}

func (p *patcher) changeMembers(path string, raw, was, is tree) tree {
	changed := maps.Clone(raw)
	both := maps.Clone(is)
	maps.Copy(both, was)
	for _, key := range slices.Sorted(maps.Keys(both)) {
		below := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		have, there := raw[key]
		before, had := was[key]
		want, wanted := is[key]
		switch {
		case had && wanted && reflect.DeepEqual(before, want): // also where raw leaves out what our encoding always writes
		case wanted && there:
			changed[key] = p.change(below, have, before, want)
		case wanted:
			p.add("add", below, want)
			changed[key] = want
		case there:
			p.add("remove", below, nil)
			delete(changed, key)
		}
	}
	return changed
}

// changeItems removes from the end, so that the places before it stay, and then goes through the list from its start: all
// that is before an item is as it will be by then. Items that change places are rare; the list is then given as a whole.
func (p *patcher) changeItems(path string, raw, was, is []any) []any {
	from, stays := sources(identityOfItems(path), was, is)
	mark := len(p.operations)
	for i, still := range slices.Backward(stays) {
		if !still {
			p.add("remove", path+"/"+strconv.Itoa(i), nil)
		}
	}
	changed := make([]any, len(is))
	last, moved := -1, false
	for i, at := range from {
		here := path + "/" + strconv.Itoa(i)
		if at < 0 {
			p.add("add", here, is[i])
			changed[i] = is[i]
			continue
		}
		changed[i] = p.change(here, raw[at], was[at], is[i])
		moved, last = moved || at < last, at
	}
	if moved {
		p.operations = p.operations[:mark]
		p.add("replace", path, changed)
	}
	return changed
}

// sources says of each new item which old one it was, -1 for none: an equal one, else one of the same identity; and of each
// old one whether it still is one.
func sources(identity func(any) string, was, is []any) (from []int, stays []bool) {
	from = make([]int, len(is))
	for i := range from {
		from[i] = -1
	}
	stays = make([]bool, len(was))
	for _, key := range []func(any) string{asJSON, identity} {
		places := map[string][]int{}
		for at, item := range was {
			if k := key(item); k != "" && !stays[at] {
				places[k] = append(places[k], at)
			}
		}
		for i, item := range is {
			if k := key(item); from[i] < 0 && len(places[k]) > 0 {
				from[i], places[k] = places[k][0], places[k][1:]
				stays[from[i]] = true
			}
		}
	}
	return from, stays
}

// itemKeys are the members by which items of a pod's lists are known, by the name of the list; the first that an item has counts.
var itemKeys = map[string][]string{
	"containers":                {"name"},
	"env":                       {"name"},
	"ephemeralContainers":       {"name"},
	"hostAliases":               {"ip"},
	"imagePullSecrets":          {"name"},
	"initContainers":            {"name"},
	"ownerReferences":           {"uid"},
	"ports":                     {"name", "containerPort"},
	"resourceClaims":            {"name"},
	"topologySpreadConstraints": {"topologyKey"},
	"volumeDevices":             {"devicePath"},
	"volumeMounts":              {"mountPath"},
	"volumes":                   {"name"},
}

// identityOfItems knows the items of the list at a path; "" where they have no identity.
func identityOfItems(path string) func(item any) string {
	keys := itemKeys[path[strings.LastIndexByte(path, '/')+1:]]
	return func(item any) string {
		t, _ := item.(tree)
		for _, key := range keys {
			if v, has := t[key]; has {
				return key + "=" + asJSON(v)
			}
		}
		return ""
	}
}
