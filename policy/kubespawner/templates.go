package kubespawner

import (
	"slices"
	"strings"
)

// valuePlaceholder is what stands in an unlisted choice's settings for what the user typed.
const valuePlaceholder = "{value}"

// checkTemplates refuses text that KubeSpawner can't expand, or that reaches into Python objects. known are the
// placeholders of the setting; nil: it isn't expanded.
func (c *converter) checkTemplates(v any, known []string, at string) {
	switch v := v.(type) {
	case string:
		c.checkTemplate(v, known, at)
	case []any:
		for i, item := range v {
			c.checkTemplates(item, known, Index(at, i))
		}
	case Object:
		for _, m := range v {
			if c.typed {
				c.checkTemplate(m.Key, nil, Child(at, m.Key))
			}
			c.checkTemplates(m.Value, known, Child(at, m.Key))
		}
	}
}

func (c *converter) checkTemplate(text string, known []string, at string) {
	if !strings.ContainsAny(text, "{}") || (known == nil && !c.typed) {
		return
	}
	if c.typed {
		// The first of two passes: {value} is put in, other placeholders stay, doubled braces become single ones.
		fields, rest, err := parseFormat(text)
		if err != "" {
			c.refusef(at, "%s", err)
			return
		}
		for _, f := range fields {
			if f != "value" && known == nil && isPlain(f) {
				continue // stays as it stands
			}
			if !isPlain(f) {
				c.refusef(at, "{%s} can't be carried over: write {value}, or a plain placeholder", f)
			}
		}
		if known == nil {
			return
		}
		text = rest
	}
	fields, _, err := parseFormat(text)
	if err != "" {
		c.refusef(at, "%s", err)
		return
	}
	for _, f := range fields {
		c.checkPlaceholder(f, known, at)
	}
}

func (c *converter) checkPlaceholder(f string, known []string, at string) {
	name := f
	if i := strings.IndexAny(f, "!:.["); i >= 0 {
		name = f[:i]
	}
	switch {
	case slices.Contains(known, f), f == "value" && c.typed:
	case f == "legacy_escape_username":
		c.refusef(at, "{legacy_escape_username} is gone from KubeSpawner since 2018: write {escaped_username}, and check the names of existing claims")
	case f == "":
		c.refusef(at, "has an empty placeholder {}: write {{}} for braces, or one of {%s}", strings.Join(known, "}, {"))
	case slices.Contains(known, name):
		c.refusef(at, "{%s} uses Python's formatting, which a policy doesn't have: write {%s}", f, name)
	default:
		c.refusef(at, "unknown placeholder {%s}, with which KubeSpawner fails: write {{ and }} for braces, or one of {%s}", f, strings.Join(known, "}, {"))
	}
}

func isPlain(f string) bool { return f != "" && !strings.ContainsAny(f, "!:.[") }

// parseFormat reads text as Python's str.format does: the names in braces, and what a pass that leaves every name in place makes
// of it. The problem is empty where there is none.
func parseFormat(text string) (fields []string, rest, problem string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		ch := text[i]
		switch {
		case (ch == '{' || ch == '}') && i+1 < len(text) && text[i+1] == ch:
			b.WriteByte(ch)
			i++
		case ch == '}':
			return nil, "", "has a single }, with which KubeSpawner fails: write }} for a brace"
		case ch == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, "", "has a single {, with which KubeSpawner fails: write {{ for a brace"
			}
			fields = append(fields, text[i+1:i+end])
			b.WriteString(text[i : i+end+1])
			i += end
		default:
			b.WriteByte(ch)
		}
	}
	return fields, b.String(), ""
}

// doubledBraces makes a template that expands to the text itself.
func doubledBraces(s string) string { return strings.NewReplacer("{", "{{", "}", "}}").Replace(s) }

// mapText changes every text in v; keys stay.
func mapText(v any, change func(string) string) any {
	switch v := v.(type) {
	case string:
		return change(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = mapText(item, change)
		}
		return out
	case Object:
		out := make(Object, len(v))
		for i, m := range v {
			out[i] = Member{m.Key, mapText(m.Value, change)}
		}
		return out
	}
	return v
}
