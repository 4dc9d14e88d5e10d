package main

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// origin says who put a value into the stored pod.
type origin int

const (
	fromHub     origin = iota // it was sent
	fromPolicy                // Slipway fitted it
	fromCluster               // the API server's own defaults and admission
	mixed                     // children have several origins
)

// node is a value of the stored pod, with who put it there.
type node struct {
	key      string // of a map's entry; empty for an item of a list
	value    any
	children []node // of a map or list
	list     bool
	origin   origin
	// within is who put it there first, where what is in it has several origins.
	within origin
}

// compare tells, for every value of the stored pod, where it comes from.
func compare(stored, fitted, sent any) node {
	n := node{value: stored, within: fromCluster}
	switch {
	case sent != nil:
		n.within = fromHub
	case fitted != nil:
		n.within = fromPolicy
	}
	switch s := stored.(type) {
	case map[string]any:
		f, _ := fitted.(map[string]any)
		h, _ := sent.(map[string]any)
		for _, key := range ordered(s) {
			child := compare(s[key], f[key], h[key])
			child.key = key
			n.children = append(n.children, child)
		}
	case []any:
		n.list = true
		for i, item := range s {
			n.children = append(n.children, compare(item, counterpart(fitted, item, i), counterpart(sent, item, i)))
		}
	}
	n.origin = originOf(&n, fitted, sent)
	return n
}

func originOf(n *node, fitted, sent any) origin {
	if len(n.children) == 0 {
		switch {
		case reflect.DeepEqual(n.value, sent):
			return fromHub
		case reflect.DeepEqual(n.value, fitted):
			return fromPolicy
		}
		return fromCluster
	}
	all := n.children[0].origin
	for i := range n.children {
		if n.children[i].origin != all {
			return mixed
		}
	}
	return all
}

// counterpart finds the item of another list that is the same thing: by name where it has one, else by place.
func counterpart(list, item any, at int) any {
	items, _ := list.([]any)
	if named, ok := item.(map[string]any); ok && named["name"] != nil {
		for _, i := range items {
			if m, ok := i.(map[string]any); ok && m["name"] == named["name"] && m["mountPath"] == named["mountPath"] {
				return i
			}
		}
		return nil
	}
	if at < len(items) {
		return items[at]
	}
	return nil
}

// ordered are the keys as a reader looks for them: what a thing is called comes first.
func ordered(m map[string]any) []string {
	first := []string{"apiVersion", "kind", "metadata", "name", "namespace", "image", "labels"}
	rank := func(key string) int {
		if at := slices.Index(first, key); at >= 0 {
			return at
		}
		return len(first)
	}
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// line is one line of YAML, with who put there what stands in it.
type line struct {
	text   string
	origin origin
}

// lines writes a node as YAML in lines of at most limit characters where that is possible: what has one origin and fits
// stands in one line.
func (n *node) lines(limit int) []line {
	head := ""
	if n.key != "" {
		head = scalar(n.key) + ":"
	}
	short := strings.TrimSpace(head + " " + flow(n.value))
	if len(n.children) == 0 || n.origin != mixed && len(short) <= limit {
		return []line{{short, n.origin}}
	}
	var all []line
	indent := ""
	if head != "" {
		own := n.origin
		if own == mixed {
			own = n.within
		}
		all = append(all, line{head, own})
		indent = "  "
	}
	first, next := indent, indent
	if n.list {
		first, next = indent+"- ", indent+"  "
	}
	for i := range n.children {
		for j, l := range n.children[i].lines(limit - len(first)) {
			prefix := next
			if j == 0 {
				prefix = first
			}
			all = append(all, line{prefix + l.text, l.origin})
		}
	}
	return all
}

// flow writes a value in one line of YAML.
func flow(v any) string {
	switch v := v.(type) {
	case map[string]any:
		entries := make([]string, 0, len(v))
		for _, key := range ordered(v) {
			entries = append(entries, scalar(key)+": "+flow(v[key]))
		}
		return "{" + strings.Join(entries, ", ") + "}"
	case []any:
		items := make([]string, 0, len(v))
		for _, item := range v {
			items = append(items, flow(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case string:
		return scalar(v)
	}
	return fmt.Sprint(v)
}

var plain = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./@-]*(:[A-Za-z0-9_./@:-]+)?$|^[0-9]+(Mi|Gi|m)$`)

// scalar writes text plainly where YAML reads it as text, else in quotes.
func scalar(text string) string {
	if plain.MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text)
}

// missing are the paths of what was fitted and isn't stored.
func missing(fitted, stored any, path string) []string {
	switch f := fitted.(type) {
	case map[string]any:
		s, _ := stored.(map[string]any)
		var paths []string
		for _, key := range ordered(f) {
			paths = append(paths, missing(f[key], s[key], path+"."+key)...)
		}
		return paths
	case []any:
		var paths []string
		for i, item := range f {
			paths = append(paths, missing(item, counterpart(stored, item, i), fmt.Sprintf("%s[%d]", path, i))...)
		}
		return paths
	}
	if !reflect.DeepEqual(fitted, stored) {
		return []string{strings.TrimPrefix(path, ".")}
	}
	return nil
}
