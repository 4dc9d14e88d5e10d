package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/cmd/terminal"
)

// streams are what a command reads and writes: machine output goes to out, everything else to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, io streams) int {
	root := newRoot(io)
	root.SetArgs(append([]string{}, args...)) // nil would mean the process's own
	err := root.ExecuteContext(ctx)
	var failed *failure
	switch {
	case err == nil:
		return exitGood
	case errors.As(err, &failed):
		report(io.err, failed)
		return failed.code
	default:
		// What cobra itself says is about flags and arguments.
		report(io.err, invalid(err))
		return exitInvalid
	}
}

func newRoot(io streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Fitted pods for users' servers, by policy",
		Long: `Slipway turns the bare, labelled pod that a hub creates into a fully fitted one, by policies that the
cluster's own access control protects. This command runs the same engine as the cluster's webhook.

Exit codes: 0 good; 1 denied, or a test failed; 2 wrong usage or invalid input; 3 could not be done.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(io.err)
			_ = cmd.Help() // it writes to a terminal
			return invalid(errors.New("which command?"))
		},
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.AddCommand(newRender(io), newExplain(io), newTest(io), newCheck(io), newLaunch(io), newStop(io), newList(io), newEvents(io), newImport(io), newVersion(io))
	return root
}

// report writes why a command failed.
func report(w io.Writer, f *failure) {
	paint := terminal.For(w)
	for _, line := range f.lines() {
		fmt.Fprintln(w, paint.Red(line))
	}
}
