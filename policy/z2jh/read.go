package z2jh

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v3"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// Object is a map of values, in the order in which it was written.
type Object = kubespawner.Object

// reader reads values files, and remembers where each value stands.
type reader struct {
	file string
	// places are FILE:LINE by path.
	places   map[string]string
	problems []error
	findings []kubespawner.Finding
	// count of the values that were read.
	count int
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// read gives the values of one file. What the file is a subchart's values of, a chart that contains this one, is unwrapped.
func (r *reader) read(data []byte) Object {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		r.notYAML(err)
		return nil
	}
	if doc.Kind == 0 {
		return Object{}
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return Object{}
	}
	if root.Kind != yaml.MappingNode {
		r.refusef("", root.Line, "must be a map of values")
		return nil
	}
	values, _ := r.value(r.unwrapped(root), "", 0).(Object)
	return values
}

func (r *reader) notYAML(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	source := r.file
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		source, text = r.file+":"+m[1], m[2]
	}
	if strings.Contains(text, "cannot start any token") {
		text += " (YAML is indented with spaces, never with tabs)"
	}
	r.problems = append(r.problems, &kubespawner.ProblemError{Source: source, Message: "is no YAML: " + text})
}

func (r *reader) refusef(at string, line int, format string, args ...any) {
	r.problems = append(r.problems, &kubespawner.ProblemError{Path: at, Source: fmt.Sprintf("%s:%d", r.file, line), Message: fmt.Sprintf(format, args...)})
}

// unwrapped finds this chart's values in those of a chart that depends on it: under jupyterhub, which the chart itself has no value
// of, or below NAME. What the parent has beside them may bear names of ours, such as ingress.
func (r *reader) unwrapped(root *yaml.Node) *yaml.Node {
	below, at := subchart(root, 0)
	if below == nil {
		return root
	}
	r.note(at, below.Line)
	return below
}

// subchart gives this chart's values within a parent's, and their path; nil where the map is this chart's own already.
func subchart(n *yaml.Node, depth int) (below *yaml.Node, at string) {
	if below := mapBelow(n, chartName); below != nil {
		return below, chartName
	}
	n = resolved(n)
	if depth == maxParents || n.Kind != yaml.MappingNode || mapBelow(n, "singleuser") != nil || mapBelow(n, "hub") != nil {
		return nil, ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if _, own := schema.keys[n.Content[i].Value]; own {
			continue
		}
		if below, at := subchart(n.Content[i+1], depth+1); below != nil {
			return below, kubespawner.Child(n.Content[i].Value, at)
		}
	}
	return nil, ""
}

func (r *reader) note(path string, line int) {
	r.findings = append(r.findings, kubespawner.Finding{Kind: kubespawner.Note, Path: path, Source: fmt.Sprintf("%s:%d", r.file, line),
		Why: "the file is a parent chart's, whose subchart this is", Do: "the paths below are relative to it, and the parent's other values aren't read"})
}

func mapBelow(n *yaml.Node, key string) *yaml.Node {
	n = resolved(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := resolved(n.Content[i+1]); n.Content[i].Value == key && v.Kind == yaml.MappingNode {
			return v
		}
	}
	return nil
}

func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// No values are deeper or more than this; aliases within aliases would go on for ever.
const (
	maxDepth  = 100
	maxValues = 100_000
	// maxParents is how many charts may lie around this one.
	maxParents = 3
)

func (r *reader) value(n *yaml.Node, at string, depth int) any {
	r.places[at] = fmt.Sprintf("%s:%d", r.file, n.Line)
	r.count++
	switch {
	case depth > maxDepth:
		r.refusef(at, n.Line, "is nested too deeply")
		return nil
	case r.count == maxValues:
		r.refusef(at, n.Line, "has too many values")
		return nil
	case r.count > maxValues:
		return nil
	}
	n = resolved(n)
	switch n.Kind {
	case yaml.MappingNode:
		return r.object(n, at, depth)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = r.value(item, kubespawner.Index(at, i), depth+1)
		}
		return list
	default:
		return r.scalar(n, at)
	}
}

func (r *reader) object(n *yaml.Node, at string, depth int) Object {
	out := Object{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			out = r.merged(out, value, at, depth)
		}
	}
	own := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			continue
		}
		if key.Kind != yaml.ScalarNode {
			r.refusef(at, key.Line, "has a key that is no text")
			continue
		}
		name := r.key(key)
		here := kubespawner.Child(at, name)
		if first, twice := own[name]; twice {
			r.findings = append(r.findings, kubespawner.Finding{Kind: kubespawner.Warning, Path: here, Source: fmt.Sprintf("%s:%d", r.file, key.Line),
				Why: fmt.Sprintf("stands in line %d already; Helm takes the last one", first)})
		}
		own[name] = key.Line
		v := r.value(value, here, depth+1)
		r.places[here] = fmt.Sprintf("%s:%d", r.file, key.Line)
		out = out.With(name, v)
	}
	return out
}

// key gives a key as Helm does, whose JSON has only texts: on is true.
func (r *reader) key(n *yaml.Node) string {
	switch v := r.scalar(n, "").(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return n.Value
}

// merged adds the keys of <<.
func (r *reader) merged(out Object, n *yaml.Node, at string, depth int) Object {
	n = resolved(n)
	if n.Kind == yaml.SequenceNode {
		// The first map wins.
		for _, item := range slices.Backward(n.Content) {
			out = r.merged(out, item, at, depth+1)
		}
		return out
	}
	below, ok := r.value(n, at, depth+1).(Object)
	if !ok {
		r.refusef(at, n.Line, "<< needs a map")
	}
	for _, m := range below {
		out = out.With(m.Key, m.Value)
	}
	return out
}

// scalar reads plain words as YAML 1.1, as Helm does: yes is true, and 0400 is 256.
func (r *reader) scalar(n *yaml.Node, at string) any {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0 {
		return n.Value
	}
	var v any
	if err := yamlv2.Unmarshal([]byte(n.Value), &v); err != nil {
		return n.Value
	}
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case int:
		return int64(v)
	case int64:
		return v
	case uint64:
		return float64(v)
	case float64:
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			r.refusef(at, n.Line, "%s is no number that Helm can pass on", n.Value)
			return nil
		case v == math.Trunc(v) && math.Abs(v) < 1<<53:
			return int64(v) // Helm writes 2.0 as 2
		}
		return v
	}
	return n.Value
}
