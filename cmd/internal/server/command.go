// Package server is what the programs that run in the cluster have in common: how they are called, how they log, when they
// end and with which exit code.
package server

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
)

// The exit codes are those of the slipway command.
const (
	ExitUsage  = 2
	ExitFailed = 3
)

// errUsage marks what is wrong with the command line.
var errUsage = errors.New("wrong usage")

// Usage marks an error as one of the command line. nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

// ExitCode is that of a program whose command ended with this error, which isn't nil.
func ExitCode(err error) int {
	if errors.Is(err, errUsage) {
		return ExitUsage
	}
	return ExitFailed
}

// Command is a program's command without its own flags: it has those of the log and of the API server, sets the log up, finds
// the API server, and runs until the context ends. version is what it says of itself.
func Command(name, short, version string, run func(context.Context, *rest.Config, logr.Logger) error) *cobra.Command {
	var log logFlags
	cmd := &cobra.Command{
		Use:           name,
		Short:         short,
		Version:       version,
		Args:          func(cmd *cobra.Command, args []string) error { return Usage(cobra.NoArgs(cmd, args)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.setUp(cmd.ErrOrStderr())
			if err != nil {
				return Usage(err)
			}
			cluster, err := config.GetConfig()
			if err != nil {
				return fmt.Errorf("find the API server (use --kubeconfig outside a cluster): %w", err)
			}
			logger.Info("starting", "version", version)
			return run(cmd.Context(), cluster, logger)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	flags := cmd.Flags()
	flags.StringVar(&log.level, "log-level", "info", "the least `level` to log: debug, info, warn or error")
	flags.StringVar(&log.format, "log-format", "json", "`format` of the log: json or text")
	cmd.PersistentFlags().AddGoFlag(flag.Lookup(config.KubeconfigFlagName))
	return cmd
}
