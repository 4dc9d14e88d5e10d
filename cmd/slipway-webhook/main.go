// Command slipway-webhook is the admission server: it fits out the pods of hubs by the cluster's policies. It exits 0
// after a clean end, 2 on wrong usage, and 3 when it could not serve.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	cmd := newCommand()
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway-webhook:", err)
		os.Exit(exitCode(err))
	}
}
