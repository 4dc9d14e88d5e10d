package main

import (
	"cmp"
	"context"
	"crypto/rand"
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
running; where the cluster has no node, until it is admitted. What --env gives goes into a Secret of the server's own. A server that
runs already is replaced. Prints the pod's name on standard output, progress and what policy gave the pod on standard error.

With NAME, which must be the name that policy gives the pod, and with --dry-run, nothing but the skeleton is sent: that needs rights on
pods alone, leaves a pod that has the name alone, and passes no environment.`,
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
	if err := flags.check(name); err != nil {
		return invalid(err)
	}
	if name == "" && !flags.dryRun {
		return flags.start(ctx, io)
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
func (f *launchFlags) check(name string) error {
	_, err := f.server.identity(policy.Identity{})
	if len(f.server.env) > 0 && (name != "" || f.dryRun) {
		err = errors.Join(err, errors.New("--env needs a Secret beside the pod, which isn't made where NAME or --dry-run are given: leave them out, or it"))
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

// start has the launcher's own library start the server.
func (f *launchFlags) start(ctx context.Context, io streams) error {
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	s, err := f.server.launcher(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	req := launcher.Request{
		Key: s.key, StartID: rand.Text(), Namespace: s.namespace, UserID: s.identity.UserID, Groups: s.identity.Groups, Profile: s.identity.Profile,
		Options: s.identity.Options, UserAnnotations: s.identity.UserAnnotations, Env: s.identity.Env, Timeout: cmp.Or(f.timeout, forever),
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	last := make(chan launcher.Step, 1)
	go func() {
		defer close(last)
		for step := range s.Progress(watching, s.key, req.StartID) {
			show(io.err, step)
			if step.Done {
				last <- step
			}
		}
	}()
	server, err := s.Start(ctx, req)
	if err != nil || f.awaited(ctx, s.client) == launcher.UntilAdmitted {
		stop()
	}
	step, done := <-last
	switch {
	case err != nil:
		return refusal(err)
	case done && (step.Server == nil || step.Server.State != launcher.Running):
		return failed(errors.New(step.Message))
	case !done && ctx.Err() != nil:
		return failed(fmt.Errorf("pod %s/%s isn't running yet: %w", server.Namespace, server.Pod, context.Cause(ctx)))
	}
	s.showFitted(ctx, io.err, server)
	fmt.Fprintln(io.out, "pod/"+server.Pod)
	return nil
}

// forever is as long as a start may take where nobody says.
const forever = 1000 * time.Hour

// refusal tells a denial by policy, which is a decision, from what went wrong.
func refusal(err error) error {
	if d, ok := errors.AsType[*launcher.Denied](err); ok {
		return denied(d.Reasons)
	}
	return failed(err)
}
