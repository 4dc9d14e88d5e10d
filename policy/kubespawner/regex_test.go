package kubespawner

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func wholeMatch(t *testing.T, pattern string) (string, bool, *converter) {
	t.Helper()
	c := &converter{said: map[string]bool{}}
	out, ok := c.wholeMatch(pattern, "validation_regex")
	return out, ok, c
}

func TestAPatternThatBindsTheBeginningBindsTheWhole(t *testing.T) {
	for python, want := range map[string]string{
		`^ok/.*$`:    `^ok/.*$`,
		`^.+:.+$`:    `^.+:.+$`,
		`^a$|^b$`:    `^a$|^b$`,
		`(^a$)`:      `(^a$)`,
		`a\Z`:        `a\z`,
		`^ok/`:       `^ok/(?s:.*)`,
		`^ok/.*`:     `^ok/(?s:.*)`,
		`a|b`:        `(?:a|b)(?s:.*)`,
		`^a$|b`:      `(?:^a$|b)(?s:.*)`,
		`a\.*`:       `a\.*(?s:.*)`,
		`^x{,3}$`:    `^x{0,3}$`,
		`^[\w.-]+$`:  `^[\w.-]+$`,
		`^[^\w]$`:    `^[^\p{L}\p{N}_]$`,
		`^\D$`:       `^[^\p{Nd}]$`,
		`^[]a[]$`:    `^[\]a\[]$`,
		`^\u00e9$`:   `^\x{e9}$`,
		`^(?P<a>x)$`: `^(?P<a>x)$`,
		`^\\d$`:      `^\\d$`,
	} {
		got, ok, c := wholeMatch(t, python)
		require.True(t, ok, python)
		assert.Equal(t, want, got, python)
		assert.Empty(t, c.findings)
		_, err := regexp.Compile(`\A(?:` + got + `)\z`)
		require.NoError(t, err)
	}
}

// Whether KubeSpawner's re.match accepts was asked of Python; a newline at the very end is the one thing that is stricter here.
func TestPatternsLetThroughWhatPythonDoes(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{`^ok/`, "ok/x\nevil", true},
		{`^ok/.*`, "ok/x\nevil", true},
		{`^ok/.*$`, "ok/x\nevil", false},
		{`ok`, "not ok", false},
		{`^a$|b`, "bcd", true},
		{`^a$|b`, "ab", false},
		{`^\d+$`, "12", true},
		{`^[^\s]+$`, "a\u00a0b", false},
		{`^\W$`, "é", false},
	} {
		got, ok, _ := wholeMatch(t, c.pattern)
		require.True(t, ok)
		assert.Equal(t, c.want, regexp.MustCompile(`\A(?:`+got+`)\z`).MatchString(c.value), "%s %q", c.pattern, c.value)
	}
}

func TestWhatOnlyPythonHasIsReported(t *testing.T) {
	for _, pattern := range []string{`^(?!latest).*$`, `^(a)\1$`, `^(?<=a)b`, `^(?x) a $`, `^a++$`, `^a{1,2000}$`, `(?P<q>a)(?P=q)`} {
		_, ok, c := wholeMatch(t, pattern)
		assert.False(t, ok, pattern)
		require.Len(t, c.findings, 1, pattern)
		assert.Equal(t, Unmapped, c.findings[0].Kind)
		assert.Empty(t, c.problems)
	}
}

func TestWhatIsNoPatternIsRefused(t *testing.T) {
	for _, pattern := range []string{`(`, `[a`, `a**`, `\pL`, `\Qx\E`, `[[:alpha:]]`} {
		_, ok, c := wholeMatch(t, pattern)
		assert.False(t, ok, pattern)
		assert.Len(t, c.problems, 1, pattern)
	}
}

func TestAnUnlistedChoiceThatCantBeCheckedIsntOffered(t *testing.T) {
	got, findings := profilesOf(t, `{"profile_list": [{"display_name": "a", "profile_options": {"o": {"choices": {"c": {}},
		"unlisted_choice": {"enabled": true, "validation_regex": "^(?!evil).*$", "kubespawner_override": {"image": "{value}"}}}}}]}`, Options{})
	assert.NotContains(t, got, "unlistedChoice")
	assert.Contains(t, told(findings), "uses what only Python's regular expressions have")

	got, findings = profilesOf(t, `{"profile_list": [{"display_name": "a", "profile_options": {"o": {
		"unlisted_choice": {"enabled": true, "validation_regex": "^(?!evil).*$", "kubespawner_override": {"image": "{value}"}}}}}]}`, Options{})
	assert.NotContains(t, got, "options", "a question without an answer is none")
	assert.Contains(t, told(findings), "uses what only Python's regular expressions have")
}
