package kubespawner

import (
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

// pythonOnly is syntax of Python's regular expressions that RE2, which never takes exponential time, doesn't have.
var pythonOnly = regexp.MustCompile(`\(\?(=|!|<=|<!|>|P=|\(|[a-zA-Z]*[axuL])|\\[1-9]|[*+?}]\+`)

// goOnly is syntax of Go's that Python refuses or reads otherwise.
var goOnly = regexp.MustCompile(`\\[pPQECz]|\[\[:`)

// wholeMatch makes of a pattern for Python's re.match, which binds only the beginning, one that has to match the whole value.
// The result lets nothing pass that KubeSpawner wouldn't. It is false where there is no such pattern.
func (c *converter) wholeMatch(pattern, at string) (string, bool) {
	if goOnly.MatchString(withoutEscapes(pattern)) {
		c.refusef(at, "is no regular expression of Python's, and KubeSpawner fails with it: %s", goOnly.FindString(withoutEscapes(pattern)))
		return "", false
	}
	translated := fromPython(pattern)
	re, err := syntax.Parse(translated, syntax.Perl)
	if err != nil {
		if pythonOnly.MatchString(withoutEscapes(pattern)) || strings.Contains(err.Error(), "repeat count") {
			c.find(Unmapped, at, "uses what only Python's regular expressions have ("+err.Error()+"), so what users type couldn't be checked",
				"the unlisted choice is left out: write an equivalent RE2 expression, and add unlistedChoice to the policy")
			return "", false
		}
		c.refusef(at, "is no regular expression: %s", err)
		return "", false
	}
	switch {
	case bound(re):
		return translated, true
	case strings.Contains(translated, "|"):
		return `(?:` + translated + `)(?s:.*)`, true
	case endsInAnything(re, translated):
		return strings.TrimSuffix(translated, ".*") + `(?s:.*)`, true
	}
	return translated + `(?s:.*)`, true
}

// bound says whether every way through the pattern ends at the end of the text. Python's $ also stands before a newline at
// the end; Go's doesn't, which is stricter.
func bound(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEndText:
		return true
	case syntax.OpCapture:
		return bound(re.Sub[0])
	case syntax.OpConcat:
		return bound(re.Sub[len(re.Sub)-1])
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !bound(sub) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

func endsInAnything(re *syntax.Regexp, pattern string) bool {
	if re.Op != syntax.OpConcat || !strings.HasSuffix(pattern, ".*") || strings.HasSuffix(pattern, `\.*`) {
		return false
	}
	last := re.Sub[len(re.Sub)-1]
	return last.Op == syntax.OpStar && last.Sub[0].Op == syntax.OpAnyCharNotNL
}

// withoutEscapes takes escaped backslashes away, so that a search for \d doesn't find the end of \\d.
func withoutEscapes(pattern string) string { return strings.ReplaceAll(pattern, `\\`, "") }

// fromPython writes what Python spells otherwise. \w, \d and \s are wider in Python, and stay narrow; what they exclude would
// grow wider, so \W, \D and \S, and classes that begin with ^, get Python's meaning.
func fromPython(pattern string) string {
	var b strings.Builder
	inClass, negated := false, false
	for i := 0; i < len(pattern); i++ {
		ch := pattern[i]
		switch {
		case ch == '\\' && i+1 < len(pattern):
			text, used := escape(pattern[i:], inClass, negated)
			b.WriteString(text)
			i += used - 1
		case ch == '[' && !inClass:
			inClass, negated = true, strings.HasPrefix(pattern[i+1:], "^")
			b.WriteByte(ch)
			if negated {
				i++
				b.WriteByte('^')
			}
			if strings.HasPrefix(pattern[i+1:], "]") {
				i++
				b.WriteString(`\]`)
			}
		case ch == '[':
			b.WriteString(`\[`)
		case ch == ']':
			inClass = false
			b.WriteByte(ch)
		case ch == '{' && !inClass && strings.HasPrefix(pattern[i:], "{,"):
			b.WriteString("{0")
		default:
			b.WriteByte(ch)
		}
	}
	return b.String()
}

const (
	pythonWord  = `\p{L}\p{N}_`
	pythonDigit = `\p{Nd}`
	pythonSpace = `\s\v\x{1c}-\x{1f}\x{85}\p{Z}`
)

// escape translates the escape that text begins with, and says how many bytes of text it was.
func escape(text string, inClass, negated bool) (string, int) {
	wide := map[byte]string{'w': pythonWord, 'd': pythonDigit, 's': pythonSpace}
	switch ch := text[1]; {
	case strings.IndexByte("wds", ch) >= 0 && inClass && negated:
		return wide[ch], 2
	case strings.IndexByte("WDS", ch) >= 0 && !inClass:
		return `[^` + wide[ch|0x20] + `]`, 2
	case strings.IndexByte("WDS", ch) >= 0 && !negated:
		return map[byte]string{'W': `\x{1}-/:-@\[-^{-~` + "`", 'D': `\P{Nd}`, 'S': `!-~`}[ch], 2
	case ch == 'Z':
		return `\z`, 2
	case (ch == 'u' && len(text) >= 6) || (ch == 'U' && len(text) >= 10):
		digits := map[byte]int{'u': 4, 'U': 8}[ch]
		if n, err := strconv.ParseUint(text[2:2+digits], 16, 32); err == nil {
			return `\x{` + strconv.FormatUint(n, 16) + `}`, 2 + digits
		}
	}
	return text[:2], 2
}
