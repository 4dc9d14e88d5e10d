package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eachCommand visits the commands that people see, but for those that cobra brings.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "completion" {
			eachCommand(c, visit)
		}
	}
}

func flagsOf(cmd *cobra.Command) []*pflag.Flag {
	var flags []*pflag.Flag
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags = append(flags, f)
		}
	})
	return flags
}

// An example that the program itself would refuse is worse than none.
func TestTheExamplesOfHelpAreCommandLines(t *testing.T) {
	word := regexp.MustCompile(`'[^']*'|\S+`)
	separator := regexp.MustCompile(`\s(\||>|&&|#)\s.*$`)
	eachCommand(newRoot(streams{}), func(cmd *cobra.Command) {
		assert.NotEmpty(t, cmd.Long, cmd.CommandPath())
		lines := strings.Split(cmd.Example, "\n")
		require.NotEmpty(t, lines[0], "%s has no example", cmd.CommandPath())
		for _, line := range lines {
			require.True(t, strings.HasPrefix(line, "  ") && line[2] != ' ', "%s: %q is indented by two spaces", cmd.CommandPath(), line)
			_, ours, has := strings.Cut(line, "slipway ")
			require.True(t, has, line)
			words := word.FindAllString(strings.TrimSuffix(separator.ReplaceAllString(ours, ""), ")"), -1)
			root := newRoot(streams{})
			root.InitDefaultCompletionCmd(words...)
			named, rest, err := root.Find(words)
			require.NoError(t, err, line)
			require.NoError(t, named.ParseFlags(rest), line)
			require.NoError(t, named.ValidateArgs(named.Flags().Args()), line)
			if cmd.HasParent() {
				assert.Contains(t, named.CommandPath(), cmd.CommandPath(), line)
			}
		}
	})
}

func TestWhatIsMisspeltIsSetRight(t *testing.T) {
	for line, want := range map[string]string{
		"lunch":                  `unknown command "lunch" for "slipway"; did you mean launch?; see slipway --help`,
		"import z2j":             `unknown command "z2j" for "slipway import"; did you mean z2jh?; see slipway import --help`,
		"render --usr alice":     "unknown flag: --usr; did you mean --user?; see slipway render --help",
		"render --user":          "flag needs an argument: --user; see slipway render --help",
		"render -x":              "unknown shorthand flag: 'x' in -x; see slipway render --help",
		"render alice":           `unknown command "alice" for "slipway render"; see slipway render --help`,
		"stop --timeout 5":       `invalid argument "5" for "--timeout" flag`,
		"import":                 "which command of slipway import?",
		"render --nothing-alike": "unknown flag: --nothing-alike; see slipway render --help",
	} {
		got := slipway(t, "", strings.Fields(line)...)
		assert.Equal(t, exitInvalid, got.code, line)
		assert.Contains(t, got.err, "error: "+want, line)
		assert.Empty(t, got.out, line)
	}
}

func TestHelpFitsAScreen(t *testing.T) {
	eachCommand(newRoot(streams{}), func(cmd *cobra.Command) {
		const widest = 120
		for line := range strings.Lines(slipway(t, "", append(strings.Fields(cmd.CommandPath())[1:], "--help")...).out) {
			assert.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), widest, "%s: %s", cmd.CommandPath(), line)
		}
	})
}

func TestHelpIsWrappedInParagraphs(t *testing.T) {
	const text = "one two three four\nfive, sechs über sieben\n\n  kept: as it is, however long\n  too\nlast words\n"
	const want = "one two three\nfour five,\nsechs über\nsieben\n\n  kept: as it is, however long\n  too\nlast words\n"
	assert.Equal(t, want, wrapped(text, 13))
}
