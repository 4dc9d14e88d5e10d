// Command cluster starts a real Kubernetes for a developer and keeps it until it is interrupted:
//
//	go run ./test/cluster up [--image FILE]... [--log-dir DIR]
//	go run ./test/cluster up --node=false [--scheduler] [--controller-manager] [--log-dir DIR]
//	go run ./test/cluster build [--node] [--full]
//
// With a node, pods run. That needs Linux, root and the packages of packages.sh;
// the control plane alone needs none of them.
//
// On standard output is one line for the shell, export KUBECONFIG=…; the rest is
// on standard error. It exits 0 when it was interrupted or what was to be built
// is there; 2 on wrong usage; 3 where it could not be done or a program of the
// cluster ended by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-hub/slipway/test/cluster/kube"
)

func main() {
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	o := kube.Options{Progress: os.Stderr}
	var images []string
	flags := flag.NewFlagSet("cluster", flag.ExitOnError)
	flags.BoolVar(&o.Node, "node", command == "up", "a node too, which runs pods")
	flags.BoolVar(&o.Scheduler, "scheduler", false, "start kube-scheduler without a node too")
	flags.BoolVar(&o.ControllerManager, "controller-manager", false, "start kube-controller-manager without a node too")
	flags.IntVar(&o.FakeNodes, "fake-nodes", 0, "`number` of nodes by kwok, on which pods only say that they run")
	full := flags.Bool("full", false, "with build: cert-manager and Prometheus too")
	flags.StringVar(&o.LogDir, "log-dir", "", "`folder` for the logs, kept afterwards (default: removed with the cluster)")
	flags.Func("image", "`tar` of an image for the node; may be repeated", func(path string) error {
		images = append(images, path)
		return nil
	})
	if command != "" {
		_ = flags.Parse(os.Args[2:]) // it exits by itself
	}
	if flags.NArg() > 0 || command != "up" && command != "build" {
		fmt.Fprintln(os.Stderr, "usage: cluster up|build [FLAG]...")
		flags.PrintDefaults()
		os.Exit(2)
	}
	if err := start(o, images, command == "build", *full); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func start(o kube.Options, images []string, buildOnly, full bool) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if buildOnly {
		return build(ctx, o, full)
	}
	return up(ctx, o, images)
}

func build(ctx context.Context, o kube.Options, full bool) error {
	if err := kube.Prepare(ctx, o); err != nil || !full {
		return err
	}
	for _, set := range []kube.ProgramSet{kube.CertManager, kube.Prometheus} {
		if _, err := set.Build(ctx, o.Progress); err != nil {
			return err
		}
	}
	return nil
}

func up(ctx context.Context, o kube.Options, images []string) (err error) {
	c, err := kube.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	for _, image := range images {
		if err := c.LoadImage(ctx, image); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stdout, "export KUBECONFIG=%s\n", c.Kubeconfig())
	fmt.Fprintf(os.Stderr, "Kubernetes answers; kubectl is in %s. Interrupt to stop.\n", c.Programs())
	return c.Wait(ctx)
}
