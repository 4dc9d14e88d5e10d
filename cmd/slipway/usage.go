package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/slipway-hub/slipway/policy"
)

// explainUsage is for the help of all commands: text and flags are wrapped at the terminal's width.
func explainUsage(root *cobra.Command) {
	cobra.AddTemplateFunc("wrapped", func(flags *pflag.FlagSet) string { return flags.FlagUsagesWrapped(helpWidth()) })
	template := root.UsageTemplate()
	for _, flags := range []string{".LocalFlags", ".InheritedFlags"} {
		template = strings.ReplaceAll(template, flags+".FlagUsages", "wrapped "+flags)
	}
	root.SetUsageTemplate(template)
	cobra.AddTemplateFunc("prose", func(text string) string { return wrapped(text, helpWidth()) })
	root.SetHelpTemplate(strings.Replace(root.HelpTemplate(), "{{. | trim", "{{. | prose | trim", 1))
}

// wrapped fills the lines of each paragraph. What is indented, such as YAML, stays as it is.
func wrapped(text string, width int) string {
	var lines []string
	filled := 0 // of the last line; 0: nothing goes on with it
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			lines, filled = append(lines, line), 0
			continue
		}
		for word := range strings.FieldsSeq(line) {
			length := utf8.RuneCountInString(word)
			if filled == 0 || filled+1+length > width {
				lines, filled = append(lines, word), length
				continue
			}
			lines[len(lines)-1] += " " + word
			filled += 1 + length
		}
	}
	return strings.Join(lines, "\n")
}

// helpWidth is as wide as the terminal, within what can be read; the same wherever there is none.
func helpWidth() int {
	const narrow, wide = 80, 120
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return wide
	}
	return min(max(width, narrow), wide)
}

// oneOfTheCommands refuses what is no command of cmd, and names the nearest that is.
func oneOfTheCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), policy.DidYouMean(args[0], names))
}

// whichCommand is what happens where one of several commands has to be named and isn't.
func whichCommand(cmd *cobra.Command, io streams) error {
	cmd.SetOut(io.err)
	_ = cmd.Help() // it writes to a terminal
	return invalid(fmt.Errorf("which command of %s?", cmd.CommandPath()))
}

// misspelt adds to an unknown flag the nearest that the command has.
func misspelt(cmd *cobra.Command, err error) error {
	unknown, is := errors.AsType[*pflag.NotExistError](err)
	if !is || len(unknown.GetSpecifiedShortnames()) > 0 {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return fmt.Errorf("%w%s", err, policy.DidYouMean("--"+unknown.GetSpecifiedName(), names))
}
