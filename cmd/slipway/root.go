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
	cmd, err := root.ExecuteContextC(ctx)
	var failed *failure
	switch {
	case err == nil:
		return exitGood
	case errors.As(err, &failed):
		report(io.err, failed)
		return failed.code
	default:
		// What cobra itself says is about flags and arguments.
		report(io.err, invalid(fmt.Errorf("%w; see %s --help", misspelt(cmd, err), cmd.CommandPath())))
		return exitInvalid
	}
}

func newRoot(io streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Fitted pods for users' servers, by policy",
		Long: `Slipway turns the bare, labelled pod that a hub creates into a fully fitted one, by policies that the
cluster's own access control protects. This command runs the same engine as the cluster's webhook.

Policies are read from files and folders with -f, and without it from the cluster of the current kubeconfig. Output for programs goes
to standard output, all else to standard error. Colours are for terminals, and not where NO_COLOR is set.

Exit codes: 0 good; 1 denied, different, or a test failed; 2 wrong usage or invalid input; 3 could not be done.`,
		Example: `  slipway render -f policies/ --namespace data101 --user alice    # the pod that alice would get
  slipway explain -f policies/ --namespace data101 --user alice   # which policy sets what, or why she is denied
  slipway test policies/                                          # whether it is all as you want it
  source <(slipway completion bash)`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          oneOfTheCommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return whichCommand(cmd, io) },
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	explain := newExplain(io)
	explain.ValidArgsFunction = completePod
	aboutServers := []*cobra.Command{newRender(io), explain, newDiff(io), newLaunch(io), newStop(io), newList(io), newEvents(io), newCheck(io)}
	complete(aboutServers...)
	root.AddCommand(aboutServers...)
	root.AddCommand(newTest(io), newImport(io), newVersion(io), newDocs(io))
	explainUsage(root)
	return root
}

// report writes why a command failed.
func report(w io.Writer, f *failure) {
	paint := terminal.For(w)
	for _, line := range f.lines() {
		fmt.Fprintln(w, paint.Red(line))
	}
}
