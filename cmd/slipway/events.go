package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/cmd/terminal"
)

func newEvents(io streams) *cobra.Command {
	var server serverFlags
	var follow bool
	cmd := &cobra.Command{
		Use:   "events --user NAME",
		Short: "Show the events of a server's pod",
		Long: `Prints the events of a user's server, oldest first: time, type, reason and message. With --watch those that come too, until it is
interrupted.`,
		Example: `  slipway events --namespace data101 --hub campus --user alice --watch`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server.complete(cmd, true)
			return events(cmd.Context(), &server, follow, io)
		},
	}
	server.registerKey(cmd)
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "go on with those that come")
	return cmd
}

func events(ctx context.Context, server *serverFlags, follow bool, io streams) error {
	s, err := server.launcher(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	all, err := s.Events(ctx, s.key, follow)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", s.key, err))
	}
	paint := terminal.For(io.out)
	for e := range all {
		at := e.LastTimestamp.Time
		if at.IsZero() {
			at = e.EventTime.Time
		}
		line := fmt.Sprintf("%s  %-7s  %s: %s", at.UTC().Format(time.RFC3339), e.Type, terminal.Plain(e.Reason), terminal.Plain(e.Message))
		if e.Type != "Normal" {
			line = paint.Yellow(line)
		}
		fmt.Fprintln(io.out, line)
	}
	return nil
}
