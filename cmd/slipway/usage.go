package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/slipway-hub/slipway/policy"
)

// explainUsage is for the help of all commands: flags are wrapped at the terminal's width.
func explainUsage(root *cobra.Command) {
	cobra.AddTemplateFunc("wrapped", func(flags *pflag.FlagSet) string { return flags.FlagUsagesWrapped(helpWidth()) })
	template := root.UsageTemplate()
	for _, flags := range []string{".LocalFlags", ".InheritedFlags"} {
		template = strings.ReplaceAll(template, flags+".FlagUsages", "wrapped "+flags)
	}
	root.SetUsageTemplate(template)
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
