package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/cmd/internal/server"
	"github.com/slipway-hub/slipway/webhook"
)

// version is set by the Makefile; a plain go build says unknown.
var version = "unknown"

const defaultPort = 10250 // the kubelet's own, which the control planes of private clusters may reach

func newCommand() *cobra.Command {
	var options webhook.Options
	cmd := server.Command("slipway-webhook", "Fits out the pods of hubs, by the cluster's policies", version,
		func(ctx context.Context, cluster *rest.Config, log logr.Logger) error {
			options.Config, options.Log, options.Version = cluster, log, version
			return webhook.Run(ctx, options)
		})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if options.Certificates.Mode != certs.Files && options.Namespace == "" {
			return server.Usage(fmt.Errorf("--certificate-mode %s needs --namespace, which has the Secrets", options.Certificates.Mode))
		}
		return nil
	}
	flags := cmd.Flags()
	options.Certificates.Mode = certs.Files
	flags.Var(&options.Certificates.Mode, "certificate-mode", "where the serving certificate comes from: files (of --cert-dir), selfSigned (made and renewed by the replicas) or certManager")
	flags.StringVar(&options.CertDir, "cert-dir", "/etc/slipway/certs", "`folder` with tls.crt and tls.key; they are loaded anew when they change")
	flags.StringVar(&options.ServiceName, "service-name", "slipway-webhook", "`name` of the Service by which the API server calls; with --namespace it makes the certificate's DNS name")
	flags.StringVar(&options.BindAddress, "bind-address", "", "`address` to serve admission requests on; empty: every address")
	flags.IntVar(&options.Port, "port", defaultPort, "`port` to serve admission requests on")
	flags.StringVar(&options.MetricsBindAddress, "metrics-bind-address", ":8080", "`host:port` of /metrics; 0: none")
	flags.StringVar(&options.HealthProbeBindAddress, "health-probe-bind-address", ":8081", "`host:port` of /healthz and /readyz; 0: none")
	flags.StringSliceVar(&options.OwnNamespaces, "own-namespace", podNamespace(), "`namespace` that cluster policies without a namespaceSelector aren't for, beside kube-system; repeatable (default: $POD_NAMESPACE)")
	flags.StringVar(&options.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "`namespace` of the replicas, for their Leases; empty: no reports, no condition Enforced, no Events (default: $POD_NAMESPACE)")
	flags.StringVar(&options.Identity, "identity", os.Getenv("POD_NAME"), "`name` of this replica among them; empty: the host's name and a random suffix (default: $POD_NAME)")
	flags.DurationVar(&options.DrainDelay, "drain-delay", 5*time.Second, "how `long` to go on serving, not ready any more, after being told to stop")
	flags.DurationVar(&options.DrainTimeout, "drain-timeout", 10*time.Second, "how `long` to wait after that for requests that are being answered")
	flags.StringVar(&options.Tracing.Endpoint, "tracing-endpoint", "", "`host:port` of a receiver of OTLP over gRPC, without TLS, or https://host:port with it; empty: no traces")
	flags.Float64Var(&options.Tracing.SamplingRatio, "tracing-sampling-ratio", 1, "`part` of the requests to trace, from 0 to 1, where the API server doesn't say itself whether it traces one")
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(newSelfTest(), newApply())
	return cmd
}

func podNamespace() []string {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return []string{ns}
	}
	return nil
}
