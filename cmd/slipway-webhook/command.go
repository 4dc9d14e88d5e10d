package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/webhook"
)

// version is set by the Makefile; a plain go build says unknown.
var version = "unknown"

const (
	// The exit codes are those of the slipway command.
	exitUsage  = 2
	exitFailed = 3

	defaultPort = 9443
)

// errUsage marks what is wrong with the command line.
var errUsage = errors.New("wrong usage")

func exitCode(err error) int {
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

type logFlags struct{ level, format string }

func newCommand() *cobra.Command {
	var (
		options webhook.Options
		log     logFlags
	)
	cmd := &cobra.Command{
		Use:           "slipway-webhook",
		Short:         "Fits out the pods of hubs, by the cluster's policies",
		Version:       version,
		Args:          func(cmd *cobra.Command, args []string) error { return usage(cobra.NoArgs(cmd, args)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			handler, err := log.handler(cmd.ErrOrStderr())
			if err != nil {
				return usage(err)
			}
			if options.Certificates.Mode != certs.Files && options.Namespace == "" {
				return usage(fmt.Errorf("--certificate-mode %s needs --namespace, which has the Secrets", options.Certificates.Mode))
			}
			// Everything that logs, in whatever way, does it in this form.
			slog.SetDefault(slog.New(handler))
			logger := logr.FromSlogHandler(handler)
			ctrl.SetLogger(logger)
			klog.SetLogger(logger)
			options.Log, options.Version = logger, version
			if options.Config, err = config.GetConfig(); err != nil {
				return fmt.Errorf("find the API server (use --kubeconfig outside a cluster): %w", err)
			}
			logger.Info("starting", "version", version)
			return webhook.Run(cmd.Context(), options)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
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
	flags.StringVar(&log.level, "log-level", "info", "the least `level` to log: debug, info, warn or error")
	flags.StringVar(&log.format, "log-format", "json", "`format` of the log: json or text")
	cmd.PersistentFlags().AddGoFlag(flag.Lookup(config.KubeconfigFlagName))
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(newSelfTest(), newApply())
	return cmd
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

func podNamespace() []string {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return []string{ns}
	}
	return nil
}

func (f *logFlags) handler(w io.Writer) (slog.Handler, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, fmt.Errorf("--log-level %q must be debug, info, warn or error", f.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "json":
		return slog.NewJSONHandler(w, options), nil
	case "text":
		return slog.NewTextHandler(w, options), nil
	}
	return nil, fmt.Errorf("--log-format %q must be json or text", f.format)
}
