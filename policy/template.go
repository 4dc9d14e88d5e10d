package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// template is text with KubeSpawner's {placeholders}, parsed.
type template struct {
	text  string
	parts []part
}

// part is literal text, or the name of a placeholder.
type part struct {
	literal     string
	placeholder string
}

// The placeholders that KubeSpawner knows.
var placeholders = []string{
	"escaped_servername", "escaped_user_server", "escaped_username", "hubnamespace", "namespace", "pod_name", "pvc_name",
	"safe_servername", "safe_user_server", "safe_username", "servername", "unescaped_servername", "unescaped_username",
	"user_server", "userid", "username",
}

// isTemplate says whether text has anything to expand; braces alone count, since {{ becomes {.
func isTemplate(text string) bool { return strings.ContainsAny(text, "{}") }

// parseTemplate reads text as Python's str.format does, in the part of its language that names a value and no
// more: conversions, format specifications, indexes and attributes are refused, since they reach into the objects of a hub
// that isn't here. known are the placeholders that may stand in it.
func parseTemplate(text string, known []string) (*template, error) {
	t := &template{text: text}
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			t.parts = append(t.parts, part{literal: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			lit.WriteByte(c)
			i++
		case c == '}':
			return nil, errors.New("single } in a template: write }} for a brace")
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, errors.New("single { in a template: write {{ for a brace, {username} for a placeholder")
			}
			name := text[i+1 : i+end]
			if !slices.Contains(known, name) {
				return nil, unknownPlaceholder(name, known)
			}
			flush()
			t.parts = append(t.parts, part{placeholder: name})
			i += end
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return t, nil
}

func unknownPlaceholder(name string, known []string) error {
	return fmt.Errorf("unknown placeholder {%s}: write {{ and }} for braces, or one of {%s}", name, strings.Join(known, "}, {"))
}

// ownDashes are the placeholders whose values keep the dashes at their end. Upstream strips those too, so that {unescaped_username}
// gives the user bob- the folder of bob.
var ownDashes = []string{"pvc_name", "unescaped_servername", "unescaped_username"}

// expand fills in the placeholders. Dashes at the end are stripped unless the template itself ends in one, so that
// {username}-{servername} works for a default server, as upstream.
func (t *template) expand(value func(name string) (string, error)) (string, error) {
	var b strings.Builder
	kept := 0
	for _, p := range t.parts {
		if p.placeholder == "" {
			b.WriteString(p.literal)
			continue
		}
		v, err := value(p.placeholder)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
		if v != "" && slices.Contains(ownDashes, p.placeholder) {
			kept = b.Len()
		}
	}
	if strings.HasSuffix(t.text, "-") {
		return b.String(), nil
	}
	whole := b.String()
	return whole[:max(kept, len(strings.TrimRight(whole, "-")))], nil
}

// doubledBraces gives text that stays as it is when it is expanded as a template.
func doubledBraces(text string) string {
	return strings.NewReplacer("{", "{{", "}", "}}").Replace(text)
}

// substituteValue puts what a user typed in the place of {value}, as KubeSpawner does for unlisted choices: other
// placeholders stay for later, doubled braces become single ones. In text that is expanded later, braces of the value are doubled, so that
// what a user typed is never read as a template.
func substituteValue(text, value string, expandedLater bool) string {
	if !isTemplate(text) {
		return text
	}
	if expandedLater {
		value = doubledBraces(value)
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		switch rest := text[i:]; {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			b.WriteByte(text[i])
			i += 2
		case strings.HasPrefix(rest, "{value}"):
			b.WriteString(value)
			i += len("{value}")
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return b.String()
}
