package docs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// leftOut stands, alone in a line, for lines that aren't shown.
const leftOut = "…"

// volatile is what changes from run to run. Where two outputs differ in nothing else, they are the same.
var volatile = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "<time>"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uid>"},
	{regexp.MustCompile(`-env-[a-z0-9]{8}\b`), "-env-<random>"},
	{regexp.MustCompile(`resourceVersion: "?\d+"?`), "resourceVersion: <number>"},
	{regexp.MustCompile(`\b127\.0\.0\.1:\d+`), "<address>"},
	// Durations that were measured: 1.31ms, 38ms, 1.2s; and ages in a column, where they stand between two spaces or at the end.
	{regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms)\b|\b\d+\.\d+s\b`), "<duration>"},
	{regexp.MustCompile(`(  )\d+[smh](\d+s)?(  |$)`), "$1<age>$3"},
}

var spaces = regexp.MustCompile(` {2,}|-{3,}`)

// steady is a line without what changes. The width of a column may change with it.
func steady(line string) string {
	was := line
	for _, v := range volatile {
		line = v.what.ReplaceAllString(line, v.as)
	}
	if line != was {
		line = spaces.ReplaceAllString(line, "  ")
	}
	return strings.TrimRight(line, " ")
}

func steadyLines(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = steady(line)
	}
	return lines
}

// same says whether an output is the one that a page shows.
func same(shown, got string) bool { return match(steadyLines(shown), steadyLines(got)) }

func match(shown, got []string) bool {
	for i, line := range shown {
		if strings.TrimSpace(line) == leftOut {
			for skip := range len(got) - i + 1 {
				if match(shown[i+1:], got[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(got) || line != got[i] {
			return false
		}
	}
	return len(shown) == len(got)
}

func TestOutputsAreCompared(t *testing.T) {
	for _, c := range []struct {
		shown, got string
		want       bool
	}{
		{"a\nb", "a\nb\n", true},
		{"a", "a\nb", false},
		{"a\nb", "a", false},
		{"a\n  …\nd", "a\nb\nc\nd", true},
		{"…\nd", "a\nd\nd", true},
		{"a\n…", "a", true},
		{"a\n…\nc\n…", "a\nb", false},
		{"…", "", true},
		{"", "a", false},
		{"pass  1.31ms", "pass  73µs", true},
		{"pass  5s", "pass  6s", true},
		{"timeoutSeconds: 5", "timeoutSeconds: 6", false},
		{"wait 5s, then", "wait 6s, then", false},
		{"jupyter-alice-env-x7k2m9qa", "jupyter-alice-env-aaaaaaaa", true},
	} {
		assert.Equal(t, c.want, same(c.shown, c.got), "%q %q", c.shown, c.got)
	}
}
