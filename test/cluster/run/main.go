// Command run starts a control plane for a developer and keeps it until it is
// interrupted:
//
//	go run ./test/cluster/run [--scheduler] [--controller-manager] [--log-dir DIR] [--build-only]
//
// On standard output is one line for the shell, export KUBECONFIG=…; the rest is
// on standard error. It exits 0 when it was interrupted or, with --build-only,
// when the binary is there; 2 on wrong usage; 3 where it could not be done or a
// program of the cluster ended by itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-hub/slipway/test/cluster"
)

func main() {
	var o cluster.Options
	flag.BoolVar(&o.Scheduler, "scheduler", false, "start kube-scheduler too")
	flag.BoolVar(&o.ControllerManager, "controller-manager", false, "start kube-controller-manager too")
	flag.StringVar(&o.LogDir, "log-dir", "", "folder for the logs, kept afterwards (default: removed with the cluster)")
	buildOnly := flag.Bool("build-only", false, "build, start nothing")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	o.Progress = os.Stderr
	if err := run(o, *buildOnly); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run(o cluster.Options, buildOnly bool) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if buildOnly {
		_, err := cluster.Build(ctx, o.Progress)
		return err
	}
	c, err := cluster.Start(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "export KUBECONFIG=%s\n", c.Kubeconfig())
	fmt.Fprintf(os.Stderr, "Kubernetes answers; kubectl is in %s. Interrupt to stop.\n", c.Programs())
	if err := c.Wait(ctx); err != nil {
		_ = c.Stop() // the failure is what is to be said
		return err
	}
	return c.Stop()
}
