package kubespawner

import (
	"fmt"
	"maps"
	"slices"
)

// state is what the traits are while a profile is applied. A trait that is absent from it has KubeSpawner's default.
type state map[string]any

// current gives a trait's value: KubeSpawner merges a map into a map, and replaces anything else by it.
func (s state) current(t *trait) any {
	if v, ok := s[t.name]; ok {
		return v
	}
	switch {
	case t.list:
		return []any{}
	case t.patch != nil:
		return Object{}
	}
	return nil
}

// overrides writes a kubespawner_override as a block of settings, and gives the traits as they are after it. mergedLater are the traits into which
// an option of the same profile merges a map.
func (c *converter) overrides(v any, at, blockAt string, before state, mergedLater map[string]bool) (*block, state) {
	b := &block{at: blockAt, values: map[string]any{}}
	after := maps.Clone(before)
	o, ok := v.(Object)
	if _, isFunction := callable(v); !ok || isFunction {
		c.wrongType(at, "a map of traits", v)
		return b, after
	}
	outer := c.block
	defer func() { c.block = outer }()
	c.block = b
	for _, m := range o {
		here := Child(at, m.Key)
		name, known := c.attribute(m.Key, m.Value, here)
		if !known {
			continue
		}
		c.overrideTrait(traitByName[name], m.Value, here, after, mergedLater[name])
	}
	return b, after
}

func (c *converter) overrideTrait(t *trait, v any, at string, s state, mergedLater bool) {
	o, isMap := v.(Object)
	if _, isFunction := callable(v); isFunction || !isMap || t.patch == nil {
		c.assign(t, v, at)
		s[t.name] = v
		return
	}
	current, merges := s.current(t).(Object)
	if _, isFunction := callable(current); isFunction {
		merges = false
	}
	if !merges {
		c.replaceByMap(t, o, at, mergedLater)
		s[t.name] = o
		return
	}
	merged, err := recursiveUpdate(current, o, at)
	if err != nil {
		c.refusef(err.at, "%s", err.message)
		return
	}
	s[t.name] = merged
	before := len(c.problems)
	out := t.patch(c, t, o, at, c.block)
	if c.checkTemplates(out, t.expand, at); len(c.problems) > before {
		return
	}
	c.checkMerged(t, merged, at)
	if !empty(out) {
		c.block.values[t.setting] = out
	}
}

// checkMerged looks for what only shows in the merged value: an item without a name, or two statements that exclude each other.
func (c *converter) checkMerged(t *trait, merged Object, at string) {
	scratch := &converter{opts: c.opts, said: map[string]bool{}, comments: map[string]string{}, override: true, typed: c.typed,
		block: &block{values: map[string]any{}}}
	t.read(scratch, t, merged, at)
	for _, p := range scratch.problems {
		for _, problem := range Problems(p) {
			c.refusef(problem.Path, "%s", problem.Message)
		}
	}
}

// replaceByMap: KubeSpawner replaces a list by a map, where the policy would merge them. So it is written as the list that the
// map stands for; or, if an option merges into it by key, as a map over nothing.
func (c *converter) replaceByMap(t *trait, o Object, at string, mergedLater bool) {
	before := len(c.problems)
	out := t.read(c, t, o, at)
	if c.checkTemplates(out, t.expand, at); len(c.problems) > before {
		return
	}
	items, isMap := out.(Object)
	if !t.list || !isMap || mergedLater {
		c.block.take(t.setting)
		if !empty(out) {
			c.block.values[t.setting] = out
		}
		return
	}
	list := make([]any, 0, len(items))
	for _, m := range items.sorted() {
		list = append(list, m.Value)
	}
	c.block.values[t.setting] = list
	c.comments[c.block.at+"."+t.setting] = "a list, since KubeSpawner replaces the weaker list by this map"
}

type mergeError struct{ at, message string }

// recursiveUpdate is KubeSpawner's merge: a map into a map, null takes a key away, anything else replaces.
func recursiveUpdate(target, update Object, at string) (Object, *mergeError) {
	for _, m := range update {
		here := Child(at, m.Key)
		below, isMap := m.Value.(Object)
		switch {
		case m.Value == nil:
			target = target.Without(m.Key)
		case isMap:
			current, has := target.Get(m.Key)
			into, ok := current.(Object)
			if has && !ok && len(below) > 0 {
				return nil, &mergeError{here, fmt.Sprintf("is a map over %s, which KubeSpawner can't merge: it fails to start the server", describe(current))}
			}
			merged, err := recursiveUpdate(into, below, here)
			if err != nil {
				return nil, err
			}
			if !has || ok {
				target = target.With(m.Key, merged)
			}
		default:
			target = target.With(m.Key, m.Value)
		}
	}
	if target == nil {
		target = Object{}
	}
	return slices.Clone(target), nil
}
