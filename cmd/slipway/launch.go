package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// The values of --until.
const (
	untilAdmitted = "admitted"
	untilRunning  = "running"
)

type launchFlags struct {
	server  serverFlags
	until   string
	timeout time.Duration
	dryRun  bool
}

func newLaunch(io streams) *cobra.Command {
	var flags launchFlags
	cmd := &cobra.Command{
		Use:   "launch [NAME] --user NAME",
		Short: "Start a server, and show how it comes up",
		Long: `Creates the skeleton of a server in the cluster of the current kubeconfig, as a hub would, and waits until its pod is
running; where the cluster has no node, until it is admitted. NAME is the pod's, and must be the one that policy gives;
without it the policies of the cluster are asked. Prints the pod's name on standard output, progress on standard error.`,
		Example: `  slipway launch --namespace data101 --hub campus --user alice
  slipway launch jupyter-alice --namespace data101 --hub campus --user alice --until admitted`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.server.complete(cmd, true)
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return launch(cmd.Context(), name, &flags, io)
		},
	}
	flags.server.register(cmd)
	cmd.Flags().StringVar(&flags.until, "until", "",
		"`what` to wait for: admitted or running (default: running; admitted where the cluster has no node)")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 5*time.Minute, "how `long` to wait; 0: forever")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "have the pod judged and fitted, but not stored")
	return cmd
}

func launch(ctx context.Context, name string, flags *launchFlags, io streams) error {
	if err := flags.check(); err != nil {
		return invalid(err)
	}
	id, err := flags.identity(ctx, name)
	if err != nil {
		return err
	}
	config, err := clusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return failed(fmt.Errorf("reach the cluster: %w", err))
	}
	options := launcher.Options{
		Until:    flags.awaited(ctx, client),
		DryRun:   flags.dryRun,
		Progress: func(p launcher.Progress) { fmt.Fprintln(io.err, p.Message) },
	}
	if flags.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, flags.timeout)
		defer cancel()
	}
	pod, err := launcher.Launch(ctx, client, id, flags.server.namespace, options)
	if err != nil {
		return refusal(err)
	}
	fmt.Fprintln(io.out, "pod/"+pod.Name)
	return nil
}

// check finds what is wrong with the flags before anything is asked.
func (f *launchFlags) check() error {
	_, err := f.server.identity(policy.Identity{})
	if len(f.server.env) > 0 {
		err = errors.Join(err, errors.New("--env isn't built yet for launch: leave it out"))
	}
	if f.until != "" && f.until != untilAdmitted && f.until != untilRunning {
		err = errors.Join(err, fmt.Errorf("--until %q must be %s or %s", f.until, untilAdmitted, untilRunning))
	}
	return err
}

// identity is what the skeleton says. Where hub or pod name aren't given, the cluster's policies are asked.
func (f *launchFlags) identity(ctx context.Context, name string) (policy.Identity, error) {
	id, err := f.server.identity(policy.Identity{Name: name})
	if err != nil {
		return id, invalid(err)
	}
	if id.Name != "" && id.Hub != "" {
		return id, nil
	}
	r, err := newRequest(ctx, &f.server, &inputFlags{}, nil)
	if err != nil {
		return id, err
	}
	id.Hub = r.input.Identity.Hub
	if id.Name == "" {
		result, err := r.apply()
		if err != nil {
			return id, err
		}
		id.Name = cmp.Or(result.Names.Pod, result.Pod.Name)
	}
	return id, nil
}

// awaited is what to wait for. Without a node no pod ever runs.
func (f *launchFlags) awaited(ctx context.Context, client kubernetes.Interface) launcher.Until {
	switch f.until {
	case untilAdmitted:
		return launcher.UntilAdmitted
	case untilRunning:
		return launcher.UntilRunning
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err == nil && len(nodes.Items) == 0 {
		return launcher.UntilAdmitted
	}
	// Most accounts may not list nodes, and most clusters have some.
	return launcher.UntilRunning
}

// refusal tells a denial by policy, which is a decision, from what went wrong.
func refusal(err error) error {
	if d, ok := errors.AsType[*launcher.Denied](err); ok {
		return denied(d.Reasons)
	}
	return failed(err)
}
