package kubespawner

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

func readText(c *converter, t *trait, v any, at string) any {
	s, ok := v.(string)
	if !ok {
		c.wrongType(at, "text", v)
		return nil
	}
	if t.name == "working_dir" && c.override {
		// KubeSpawner expands it when the spawner is made, long before a profile is chosen: a profile's stays literal.
		s = doubledBraces(s)
	}
	return s
}

func readBool(c *converter, _ *trait, v any, at string) any {
	switch v {
	case true, int64(1):
		return true
	case false, int64(0):
		return false
	}
	c.wrongType(at, "true or false", v)
	return nil
}

func readPullPolicy(c *converter, _ *trait, v any, at string) any {
	if !slices.Contains([]any{"Always", "IfNotPresent", "Never"}, v) {
		c.wrongType(at, "Always, IfNotPresent or Never", v)
		return nil
	}
	return v
}

func readSlugScheme(c *converter, _ *trait, v any, at string) any {
	if v != "safe" && v != "escape" {
		c.wrongType(at, "safe or escape", v)
		return nil
	}
	return v
}

// readIP: KubeSpawner takes the brackets of an IPv6 address off.
func readIP(c *converter, t *trait, v any, at string) any {
	s, ok := readText(c, t, v, at).(string)
	if !ok {
		return nil
	}
	return strings.TrimRight(strings.TrimLeft(s, "["), "]")
}

func readPort(c *converter, _ *trait, v any, at string) any {
	n, ok := integer(v)
	switch {
	case !ok || n < 0 || n > math.MaxUint16:
		c.wrongType(at, "a port from 1 to 65535", v)
		return nil
	case n == 0:
		return int64(8888)
	}
	return n
}

// integer reads what traitlets' Integer takes; in Python true is 1.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func readID(c *converter, _ *trait, v any, at string) any {
	n, ok := integer(v)
	if !ok || n < 0 || n > math.MaxInt32 {
		c.wrongType(at, "a whole number from 0 to 2147483647", v)
		return nil
	}
	return n
}

// readIDs: KubeSpawner puts each through int(), so "100" is as good as 100.
func readIDs(c *converter, _ *trait, v any, at string) any {
	list, ok := v.([]any)
	if !ok {
		c.wrongType(at, "a list of group ids", v)
		return nil
	}
	out := make([]any, 0, len(list))
	for i, item := range list {
		if s, isText := item.(string); isText {
			if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
				item = n
			}
		}
		if f, isFloat := item.(float64); isFloat {
			item = int64(f)
		}
		if id := readID(c, nil, item, Index(at, i)); id != nil {
			out = append(out, id)
		}
	}
	return out
}

// readCommand: text is one argument, never split.
func readCommand(c *converter, t *trait, v any, at string) any {
	if s, ok := v.(string); ok {
		return []any{s}
	}
	list, _ := readTexts(c, t, v, at).([]any)
	if len(list) == 0 {
		return nil
	}
	return list
}

// readTexts: traitlets makes a list of one out of a single text.
func readTexts(c *converter, _ *trait, v any, at string) any {
	if s, ok := v.(string); ok {
		return []any{s}
	}
	list, ok := v.([]any)
	if !ok {
		c.wrongType(at, "a list of texts", v)
		return nil
	}
	for i, item := range list {
		if _, ok := item.(string); !ok {
			c.wrongType(Index(at, i), "text", item)
		}
	}
	return list
}

func readPullSecrets(c *converter, _ *trait, v any, at string) any {
	if s, ok := v.(string); ok {
		v = []any{s}
	}
	list, ok := v.([]any)
	if !ok {
		c.wrongType(at, "a list of Secret names", v)
		return nil
	}
	out := make([]any, 0, len(list))
	for i, item := range list {
		switch item := item.(type) {
		case string:
			out = append(out, item)
		case Object:
			name, _ := item.Get("name")
			if s, ok := name.(string); ok && len(item) == 1 {
				out = append(out, s)
				continue
			}
			c.refusef(Index(at, i), "must be a Secret's name, or a map of name alone")
		default:
			c.wrongType(Index(at, i), "a Secret's name", item)
		}
	}
	return out
}

func readBytes(c *converter, t *trait, v any, at string) any {
	if s, ok := v.(string); ok && c.typed && strings.Contains(s, valuePlaceholder) {
		return c.typedBytes(s, at)
	}
	q := c.byteSpec(v, at)
	if q == "" {
		return nil
	}
	if s, isText := v.(string); isText && !isUnit(q) {
		c.comments[c.block.at+"."+t.setting] = s + " of KubeSpawner, exactly, in bytes"
	}
	return q
}

func isUnit(q string) bool { return strings.HasSuffix(q, "i") }

// typedBytes: what the user types is a number and the unit stands in the text, or nobody knows whose unit it is.
func (c *converter) typedBytes(s, at string) any {
	if len(s) == len(valuePlaceholder)+1 && strings.HasPrefix(s, valuePlaceholder) && byteSizes[s[len(s)-1]] != 0 {
		return s + "i"
	}
	c.find(Unmapped, at, "a size that the user types with its unit means powers of 1024 to KubeSpawner, and what Kubernetes says to the policy",
		`let the user type the number alone ("{value}G"), or offer choices`)
	return unsaid{}
}

func readCPU(c *converter, _ *trait, v any, at string) any {
	if q := c.cpu(v, at); q != "" {
		return q
	}
	return nil
}

func readQuantity(c *converter, _ *trait, v any, at string) any {
	if s, ok := v.(string); ok && c.typed && strings.Contains(s, valuePlaceholder) {
		return s
	}
	if _, ok := v.(string); !ok {
		c.wrongType(at, `text such as "10Gi"`, v)
		return nil
	}
	if q := c.quantity(v, at); q != "" {
		return q
	}
	return nil
}

func readQuantities(c *converter, t *trait, v any, at string) any {
	object, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map of resource names to quantities", v)
		return nil
	}
	out := Object{}
	for _, m := range object {
		if m.Value == nil {
			c.find(Warning, Child(at, m.Key), "null is no quantity, and Kubernetes leaves it out", "")
			continue
		}
		if q := readResource(c, t, m.Value, Child(at, m.Key)); q != nil {
			out = out.With(m.Key, q)
		}
	}
	return out
}

func readResource(c *converter, _ *trait, v any, at string) any {
	if s, ok := v.(string); ok && c.typed && strings.Contains(s, valuePlaceholder) {
		return s
	}
	if q := c.quantity(v, at); q != "" {
		return q
	}
	return nil
}

func patchQuantities(c *converter, t *trait, v Object, at string, b *block) any {
	for _, m := range v {
		if m.Value == nil {
			b.take(t.setting, m.Key)
			v = v.Without(m.Key)
		}
	}
	return readQuantities(c, t, v, at)
}

// readLabels reads labels, annotations and the node selector.
func readLabels(c *converter, _ *trait, v any, at string) any {
	object, ok := v.(Object)
	if !ok {
		c.wrongType(at, "a map of texts", v)
		return nil
	}
	out := Object{}
	for _, m := range object {
		switch value := m.Value.(type) {
		case string:
			out = out.With(m.Key, value)
		case nil:
			// KubeSpawner sends null, and the API server stores "".
			out = out.With(m.Key, "")
		default:
			c.wrongType(Child(at, m.Key), "text (in quotes)", value)
		}
	}
	return out
}

func patchLabels(c *converter, t *trait, v Object, at string, b *block) any {
	for _, m := range v {
		if m.Value == nil {
			b.take(t.setting, m.Key)
			v = v.Without(m.Key)
		}
	}
	return readLabels(c, t, v, at)
}

// readHubTemplate reads what JupyterHub itself expands; %U is its old way to write {username}.
func readHubTemplate(c *converter, t *trait, v any, at string) any {
	s, ok := readText(c, t, v, at).(string)
	if !ok {
		return nil
	}
	return strings.ReplaceAll(s, "%U", "{username}")
}
