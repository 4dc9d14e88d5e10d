package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v3"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// maxFlow is how long a list of words may be that is written in one line.
const maxFlow = 100

// policyYAML writes a policy as a person would: in the order of its type, nothing empty, comments where a mapping isn't obvious.
func policyYAML(imported *kubespawner.Imported, head string) ([]byte, error) {
	data, err := json.Marshal(imported.Policy)
	if err != nil {
		return nil, fmt.Errorf("encode the policy: %w", err)
	}
	var o kubespawner.Object
	if err := o.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("decode the policy: %w", err)
	}
	w := policyWriter{comments: imported.Comments}
	version, _ := o.Get("apiVersion")
	o = append(kubespawner.Object{{Key: "apiVersion", Value: version}}, o.Without("apiVersion").Without("status")...)
	root := w.node(o, "")
	root.HeadComment = head
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	e.CompactSeqIndent()
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	return out.Bytes(), nil
}

type policyWriter struct {
	comments map[string]string
}

func (w policyWriter) node(v any, at string) *yaml.Node {
	switch v := v.(type) {
	case kubespawner.Object:
		return w.mapping(v, at)
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i, item := range v {
			n.Content = append(n.Content, w.node(item, kubespawner.Index(at, i)))
		}
		if inOneLine(v) {
			n.Style = yaml.FlowStyle
		}
		return n
	case string:
		return textNode(v)
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	data, _ := json.Marshal(v) //nolint:errchkjson // numbers and booleans
	return &yaml.Node{Kind: yaml.ScalarNode, Value: string(data)}
}

func (w policyWriter) mapping(o kubespawner.Object, at string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if len(o) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, m := range o {
		here := kubespawner.Child(at, m.Key)
		key, value := textNode(m.Key), w.node(m.Value, here)
		if comment := w.comments[here]; comment != "" {
			if value.Kind == yaml.ScalarNode && value.Style != yaml.LiteralStyle {
				value.LineComment = comment
			} else {
				key.HeadComment = comment
			}
		}
		n.Content = append(n.Content, key, value)
	}
	return n
}

// textNode quotes what YAML 1.1, which kubectl reads, takes for something else than text.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	var read any
	switch err := yamlv2.Unmarshal([]byte(s), &read); {
	case strings.Contains(s, "\n") && strconv.CanBackquote(strings.ReplaceAll(s, "\n", "")) && !strings.HasPrefix(s, " ") && !strings.HasSuffix(s, " "):
		n.Style = yaml.LiteralStyle
	case err != nil || read != s:
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// inOneLine: a short list of short words reads better in one line.
func inOneLine(list []any) bool {
	length := 0
	for _, item := range list {
		switch item := item.(type) {
		case string:
			if strings.ContainsAny(item, "\n") {
				return false
			}
			length += len(item) + 2
		case kubespawner.Object, []any:
			return false
		default:
			length += 8
		}
	}
	return length <= maxFlow
}
