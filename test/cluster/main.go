// Command cluster starts a real Kubernetes for a developer and keeps it until it is interrupted:
//
//	go run ./test/cluster up [--scheduler] [--controller-manager] [--log-dir DIR]
//	go run ./test/cluster build
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
	var o kube.Options
	var images []string
	flags := flag.NewFlagSet("cluster", flag.ExitOnError)
	flags.BoolVar(&o.Node, "node", true, "start a node too")
	flags.BoolVar(&o.Scheduler, "scheduler", false, "start kube-scheduler too")
	flags.BoolVar(&o.ControllerManager, "controller-manager", false, "start kube-controller-manager too")
	flags.Func("image", "tar of an image to give to the node; may be repeated", func(path string) error {
		images = append(images, path)
		return nil
	})
	flags.StringVar(&o.LogDir, "log-dir", "", "folder for the logs, kept afterwards (default: removed with the cluster)")
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
		_ = flags.Parse(os.Args[2:]) // it exits by itself
	}
	if flags.NArg() > 0 || command != "up" && command != "build" {
		fmt.Fprintln(os.Stderr, "usage: cluster up|build [FLAG]...")
		flags.PrintDefaults()
		os.Exit(2)
	}
	o.Progress = os.Stderr
	if err := run(o, images, command == "build"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run(o kube.Options, images []string, buildOnly bool) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if buildOnly {
		_, err := kube.Build(ctx, o.Progress)
		return err
	}
	c, err := kube.Start(ctx, o)
	if err != nil {
		return err
	}
	for _, image := range images {
		if err := c.LoadImage(ctx, image); err != nil {
			return errors.Join(err, c.Stop())
		}
	}
	fmt.Fprintf(os.Stdout, "export KUBECONFIG=%s\n", c.Kubeconfig())
	fmt.Fprintf(os.Stderr, "Kubernetes answers; kubectl is in %s. Interrupt to stop.\n", c.Programs())
	if err := c.Wait(ctx); err != nil {
		_ = c.Stop() // the failure is what is to be said
		return err
	}
	return c.Stop()
}
