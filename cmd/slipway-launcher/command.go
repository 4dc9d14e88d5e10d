package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-hub/slipway/cmd/internal/server"
)

// version is set by the Makefile; a plain go build says unknown.
var version = "unknown"

type options struct {
	metricsBindAddress     string
	healthProbeBindAddress string
	namespaces             []string
	drainDelay             time.Duration
}

func newCommand() *cobra.Command {
	var o options
	cmd := server.Command("slipway-launcher", "Creates, watches and stops the pods of hubs", version,
		func(ctx context.Context, cluster *rest.Config, log logr.Logger) error {
			return run(ctx, cluster, log, o)
		})
	flags := cmd.Flags()
	flags.StringVar(&o.metricsBindAddress, "metrics-bind-address", ":8080", "`host:port` of /metrics; 0: none")
	flags.StringVar(&o.healthProbeBindAddress, "health-probe-bind-address", ":8081", "`host:port` of /healthz and /readyz; 0: none")
	flags.StringSliceVar(&o.namespaces, "namespace", nil, "`namespace` to start servers in; repeatable; none: every namespace")
	flags.DurationVar(&o.drainDelay, "drain-delay", 5*time.Second, "how `long` to go on, not ready any more, after being told to stop")
	return cmd
}

// run ends some time after ctx, nil for a clean end: so long a Service may still send requests here.
func run(ctx context.Context, cluster *rest.Config, log logr.Logger, o options) error {
	scheme := runtime.NewScheme()
	if err := authorizationv1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("set up the launcher: %w", err)
	}
	mgr, err := manager.New(cluster, manager.Options{
		Scheme:                 scheme,
		Logger:                 log,
		Metrics:                metricsserver.Options{BindAddress: o.metricsBindAddress},
		HealthProbeBindAddress: o.healthProbeBindAddress,
	})
	if err != nil {
		return fmt.Errorf("set up the launcher: %w", err)
	}
	// The reader has no cache: nothing is watched yet.
	rights := newRights(mgr.GetAPIReader(), mgr.GetClient(), o.namespaces, log)
	draining := func(*http.Request) error {
		if ctx.Err() != nil {
			return errors.New("stopping")
		}
		return nil
	}
	err = errors.Join(
		mgr.Add(rights),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("running", draining),
		mgr.AddReadyzCheck("rights", rights.Ready),
	)
	if err != nil {
		return fmt.Errorf("set up the launcher: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(o.drainDelay, stop) })
	return mgr.Start(running)
}
