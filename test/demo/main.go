// Command demo shows Slipway at work on a real API server: what a hub sends, what is stored, and what is refused. It exits
// with 0 only if everything came out as it says. DEMO_KUBECONFIG names a cluster to use instead of one that is
// built and started here; there, DEMO_WEBHOOK_HOST is the address at which the API server reaches this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// exitInterrupted is what a shell expects of a program that was interrupted.
const exitInterrupted = 130

func main() {
	// What client libraries have to say is no part of the show.
	klog.SetLogger(logr.Discard())
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	d := newDemo(os.Stdout)
	err := d.run(ctx)
	interrupted := ctx.Err() != nil
	stop() // a second interrupt ends even the cleaning up
	err = errors.Join(err, d.cleanUp())
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "\nInterrupted; everything that was started is stopped.")
		os.Exit(exitInterrupted)
	case err != nil:
		fmt.Fprintln(os.Stderr, d.screen.paint.Red("\nThe demo failed: "+err.Error()))
		os.Exit(1)
	}
}
