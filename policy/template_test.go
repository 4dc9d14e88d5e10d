package policy

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTemplatesExpandAsStrFormatDoes(t *testing.T) {
	values := map[string]string{"username": "alice", "servername": "", "userid": "42"}
	for text, want := range map[string]string{
		"{username}":                "alice",
		"{{username}}":              "{username}",
		"x-":                        "x-",
		"a---":                      "a---",
		"a---{servername}":          "a",
		"{servername}-":             "-",
		"{username}--{servername}":  "alice",
		"{username}-{servername}-":  "alice--",
		"-":                         "-",
		"":                          "",
		"${{HOME}}/{username}":      "${HOME}/alice",
		"{username}{username}{{}}x": "alicealice{}x",
	} {
		tmpl, err := parseTemplate(text, placeholders)
		require.NoError(t, err, text)
		got, err := tmpl.expand(func(name string) (string, error) { return values[name], nil })
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
}

// Two users are two users: bob- must not get what is called after bob.
func TestANamesOwnDashesStay(t *testing.T) {
	values := map[string]string{"unescaped_username": "bob-", "unescaped_servername": "--", "pvc_name": "claim-bob-", "servername": "", "escaped_user_server": "bob-2d--"}
	for text, want := range map[string]string{
		"{unescaped_username}":               "bob-",
		"home/{unescaped_username}":          "home/bob-",
		"{unescaped_username}-{servername}":  "bob-",
		"{pvc_name}":                         "claim-bob-",
		"{unescaped_servername}{servername}": "--",
		"{escaped_user_server}":              "bob-2d",
	} {
		tmpl, err := parseTemplate(text, placeholders)
		require.NoError(t, err, text)
		got, err := tmpl.expand(func(name string) (string, error) { return values[name], nil })
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
}

func TestTemplatesThatNameNothingAreErrors(t *testing.T) {
	for text, want := range map[string]string{
		"{nope}":               "unknown placeholder {nope}",
		"{}":                   "unknown placeholder {}",
		"{0}":                  "unknown placeholder {0}",
		"{":                    "single {",
		"}":                    "single }",
		"a{":                   "single {",
		"{username!r}":         "unknown placeholder",
		"{username:>10}":       "unknown placeholder",
		"{username[0]}":        "unknown placeholder",
		"{username.__class__}": "unknown placeholder",
		"${HOME}":              "unknown placeholder {HOME}",
	} {
		_, err := parseTemplate(text, placeholders)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestExpandGivesTheErrorOfAValue(t *testing.T) {
	tmpl, err := parseTemplate("{userid}", placeholders)
	require.NoError(t, err)
	_, err = tmpl.expand(func(string) (string, error) { return "", errors.New("no id") })
	assert.EqualError(t, err, "no id")
}

func TestSubstituteValueNeverMakesATemplateOfWhatAUserTyped(t *testing.T) {
	for _, tc := range []struct {
		text, value   string
		expandedLater bool
		want          string
	}{
		{"{value}G", "4", false, "4G"},
		{"{username}/{value}/{x}", "v", true, "{username}/v/{x}"},
		{"{value}", "{unescaped_username}", true, "{{unescaped_username}}"},
		{"{value}", "{unescaped_username}", false, "{unescaped_username}"},
		{"{{value}}", "v", true, "{value}"},
		{"plain", "v", true, "plain"},
	} {
		assert.Equal(t, tc.want, substituteValue(tc.text, tc.value, tc.expandedLater), tc.text)
	}
}
