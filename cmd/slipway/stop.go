package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/launcher"
)

type stopFlags struct {
	server serverFlags
	grace  time.Duration
	wait   time.Duration
}

func newStop(io streams) *cobra.Command {
	var flags stopFlags
	cmd := &cobra.Command{
		Use:   "stop --user NAME",
		Short: "Stop a server",
		Long: `Deletes the pod of a user's server, as its hub would, and waits until it is gone. Its claims stay. A server that isn't there is
stopped already.`,
		Example: `  slipway stop --namespace data101 --hub campus --user alice
  slipway stop --namespace data101 --hub campus --user alice --server gpu --grace-period 0s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags.server.complete(cmd, true)
			return stop(cmd.Context(), &flags, io)
		},
	}
	flags.server.registerKey(cmd)
	cmd.Flags().DurationVar(&flags.grace, "grace-period", time.Second, "how `long` the server has to end by itself")
	cmd.Flags().DurationVar(&flags.wait, "timeout", 5*time.Minute, "how `long` to wait until it is gone; 0: not at all")
	return cmd
}

func stop(ctx context.Context, flags *stopFlags, io streams) error {
	s, err := flags.server.launcher(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	if _, err := s.Get(s.key); errors.Is(err, launcher.ErrNotFound) {
		fmt.Fprintln(io.err, "It isn't running")
		return nil
	}
	server, err := s.Stop(ctx, s.key, launcher.StopOptions{GracePeriod: &flags.grace, Wait: flags.wait})
	switch {
	case err != nil:
		return failed(err)
	case server != nil && flags.wait > 0:
		return failed(fmt.Errorf("pod %s/%s isn't gone after %s: look at its node and its finalizers", server.Namespace, server.Pod, flags.wait))
	case server != nil:
		fmt.Fprintln(io.err, "Stopping")
		return nil
	}
	fmt.Fprintln(io.err, "Stopped")
	return nil
}
