package main

import (
	"context"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/cmd/internal/server"
	"github.com/slipway-hub/slipway/webhook"
)

// version is set by the Makefile; a plain go build says unknown.
var version = "unknown"

const defaultPort = 9443

func newCommand() *cobra.Command {
	var options webhook.Options
	cmd := server.Command("slipway-webhook", "Fits out the pods of hubs, by the cluster's policies", version,
		func(ctx context.Context, cluster *rest.Config, log logr.Logger) error {
			options.Config, options.Log = cluster, log
			return webhook.Run(ctx, options)
		})
	flags := cmd.Flags()
	flags.StringVar(&options.CertDir, "cert-dir", "/etc/slipway/certs", "`folder` with tls.crt and tls.key; they are loaded anew when they change")
	flags.StringVar(&options.BindAddress, "bind-address", "", "`address` to serve admission requests on; empty: every address")
	flags.IntVar(&options.Port, "port", defaultPort, "`port` to serve admission requests on")
	flags.StringVar(&options.MetricsBindAddress, "metrics-bind-address", ":8080", "`host:port` of /metrics; 0: none")
	flags.StringVar(&options.HealthProbeBindAddress, "health-probe-bind-address", ":8081", "`host:port` of /healthz and /readyz; 0: none")
	flags.StringSliceVar(&options.OwnNamespaces, "own-namespace", podNamespace(), "`namespace` that cluster policies without a namespaceSelector aren't for, beside kube-system; repeatable (default: $POD_NAMESPACE)")
	flags.StringVar(&options.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "`namespace` of the replicas, for their Leases; empty: no reports, no condition Enforced, no Events (default: $POD_NAMESPACE)")
	flags.StringVar(&options.Identity, "identity", os.Getenv("POD_NAME"), "`name` of this replica among them; empty: the host's name and a random suffix (default: $POD_NAME)")
	flags.DurationVar(&options.DrainDelay, "drain-delay", 5*time.Second, "how `long` to go on serving, not ready any more, after being told to stop")
	flags.DurationVar(&options.DrainTimeout, "drain-timeout", 10*time.Second, "how `long` to wait after that for requests that are being answered")
	return cmd
}

func podNamespace() []string {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return []string{ns}
	}
	return nil
}
